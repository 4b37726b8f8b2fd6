"""Random vectors in place of heads: the control where a layer has too few other heads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.controls import Head, check_heads
from interp.attribution.language.outputs import Means, Outputs, heads_in, lost_without


@contextmanager
def random_directions_taken(
    bridge: TransformerBridge,
    heads: Sequence[Head],
    generator: torch.Generator,
    means: Means | None = None,
) -> Iterator[TransformerBridge]:
    """Take from the stream, at every position, a random vector as long as what `heads_ablated` would take there.

    That is what the heads of a layer add, less what their ``means`` would add where given. Heads are (layer, head) with
    layers from 0 as in hook names. Raises ValueError for a head that the model lacks.
    """
    check_heads(heads, bridge.cfg.n_layers, bridge.cfg.n_heads)
    lengths: dict[int, Tensor] = {}

    def measure(layer: int) -> Callable[[Tensor, HookPoint], None]:
        def keep(z: Outputs, hook: HookPoint) -> None:
            lengths[layer] = lost_without(bridge, layer, z, heads_in(heads, layer), means).norm(dim=-1, keepdim=True)

        return keep

    def perturb(layer: int) -> Callable[[Tensor, HookPoint], Tensor]:
        def edit(attn_out: Float[Tensor, "prompt pos d_model"], hook: HookPoint) -> Tensor:
            direction = torch.randn(attn_out.shape, generator=generator).to(attn_out)
            return attn_out - lengths[layer] * direction / direction.norm(dim=-1, keepdim=True)

        return edit

    hooks: list[tuple[str, Callable[..., Tensor | None]]] = []
    for layer in sorted({layer for layer, _ in heads}):
        hooks.append((f"blocks.{layer}.attn.hook_z", measure(layer)))
        hooks.append((f"blocks.{layer}.hook_attn_out", perturb(layer)))
    with bridge.hooks(fwd_hooks=hooks):
        yield bridge
