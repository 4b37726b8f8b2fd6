"""What a layer's heads add to the stream."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

Outputs = Float[Tensor, "prompt pos head d_head"]
"""What a layer's heads hand on, before W_O (``hook_z``)."""

Means = Float[Tensor, "layer pos head d_head"]
"""The same, mean over sequences, for all layers."""


def silenced(z: Outputs, layer: int, heads: Sequence[int], means: Means | None) -> Outputs:
    """The outputs with those of some heads at 0, or at their means."""
    edited = z.clone()
    edited[:, :, heads] = 0.0 if means is None else means[layer][:, heads].to(z)
    return edited


def lost_without(
    bridge: TransformerBridge, layer: int, z: Outputs, heads: Sequence[int], means: Means | None = None
) -> Float[Tensor, "prompt pos d_model"]:
    """How much less a layer's attention adds to the stream when some heads are silenced.

    Through the model's own modules, past their hooks: W_O and, where the model has them, the norm after it (Gemma 2,
    OLMo 2) and the factor on what enters the stream (Granite).
    """
    return _added(bridge, layer, z) - _added(bridge, layer, silenced(z, layer, heads, means))


def _added(bridge: TransformerBridge, layer: int, z: Outputs) -> Float[Tensor, "prompt pos d_model"]:
    block = bridge.blocks[layer]
    added: Tensor = block.attn.o.original_component(z.flatten(2))
    if (norm := getattr(block, "ln1_post", None)) is not None:
        added = norm.original_component(added)
    return added * getattr(getattr(bridge.original_model, "config", None), "residual_multiplier", 1.0)


def heads_in(heads: Sequence[tuple[int, int]], layer: int) -> list[int]:
    """The heads of one layer, in order."""
    return sorted({head for at, head in heads if at == layer})
