"""Cutting what one head tells another, and what one position tells another within a head."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.controls import Head, check_heads
from interp.attribution.language.outputs import Outputs, heads_in, lost_without


@contextmanager
def key_input_cut(
    bridge: TransformerBridge, senders: Sequence[Head], receivers: Sequence[Head]
) -> Iterator[TransformerBridge]:
    """Take what the senders write out of what the receivers' keys are made from, and out of nothing else.

    A receiver's keys are computed again from its layer's norm of the stream without what those senders added to it that
    lie in earlier layers; queries, values and the other heads see the stream as it is. What reaches the receiver by way
    of layers in between stays. Heads are (layer, head) with layers from 0 as in hook names. With
    grouped-query attention the heads of one group share their keys, so that the cut is made for the whole group.
    Raises ValueError for a head that the model lacks.
    """
    cfg = bridge.cfg
    check_heads([*senders, *receivers], cfg.n_layers, cfg.n_heads)
    written: dict[int, Tensor] = {}
    streams: dict[int, Tensor] = {}

    def keep_output(layer: int) -> Callable[[Tensor, HookPoint], None]:
        def keep(z: Outputs, hook: HookPoint) -> None:
            written[layer] = lost_without(bridge, layer, z, heads_in(senders, layer))

        return keep

    def keep_stream(layer: int) -> Callable[[Tensor, HookPoint], None]:
        def keep(stream: Float[Tensor, "prompt pos d_model"], hook: HookPoint) -> None:
            streams[layer] = stream

        return keep

    def replace_keys(layer: int) -> Callable[[Tensor, HookPoint], Tensor]:
        def replace(keys: Float[Tensor, "prompt pos key_head d_head"], hook: HookPoint) -> Tensor:
            group = cfg.n_heads // keys.shape[2]
            cut = sorted({head // group for head in heads_in(receivers, layer)})
            stream = streams.pop(layer)
            # As a difference, so that a cut that takes nothing away changes no bit.
            without = stream - sum(output for at, output in written.items() if at < layer)
            change = _keys(bridge, layer, without) - _keys(bridge, layer, stream)
            edited = keys.clone()
            edited[:, :, cut] += change.reshape(keys.shape)[:, :, cut]
            return edited

        return replace

    hooks: list[tuple[str, Callable[..., Tensor | None]]] = []
    for layer in sorted({layer for layer, _ in senders}):
        hooks.append((f"blocks.{layer}.attn.hook_z", keep_output(layer)))
    for layer in sorted({layer for layer, _ in receivers}):
        hooks.append((f"blocks.{layer}.hook_resid_pre", keep_stream(layer)))
        hooks.append((f"blocks.{layer}.attn.hook_k", replace_keys(layer)))
    with bridge.hooks(fwd_hooks=hooks):
        yield bridge


def _keys(bridge: TransformerBridge, layer: int, stream: Tensor) -> Tensor:
    """The keys that a layer makes from a stream, through the model's own modules, past their hooks."""
    block = bridge.blocks[layer]
    norm = getattr(block, "ln1", None)
    made: nn.Module = block.attn.k.original_component
    return made(stream if norm is None else norm.original_component(stream))


@contextmanager
def attention_cut(
    bridge: TransformerBridge, heads: Sequence[Head], keys: Bool[Tensor, "prompt query key"]
) -> Iterator[TransformerBridge]:
    """Hide keys from some heads' queries, as if they came later: attention goes to the other keys in sight instead.

    The knock-out of Geva et al. (2023), with scores of minus infinity before the softmax. A query that attended to
    nothing else attends to nothing. Heads are (layer, head) with layers from 0 as in hook names. Nothing happens in
    architectures of which `can_edit_patterns` is false. Raises ValueError for a head that the model lacks.
    """
    check_heads(heads, bridge.cfg.n_layers, bridge.cfg.n_heads)

    def hide(layer: int) -> Callable[[Tensor, HookPoint], Tensor]:
        cut = heads_in(heads, layer)

        def edit(pattern: Float[Tensor, "prompt head query key"], hook: HookPoint) -> Tensor:
            left = pattern[:, cut].masked_fill(keys[:, None], 0.0)
            total = left.sum(-1, keepdim=True)
            scale = torch.where(total > 0, pattern[:, cut].sum(-1, keepdim=True) / total.where(total > 0, 1.0), 0.0)
            edited = pattern.clone()
            edited[:, cut] = left * scale
            return edited

        return edit

    hooks = [(f"blocks.{layer}.attn.hook_pattern", hide(layer)) for layer in sorted({layer for layer, _ in heads})]
    with bridge.hooks(fwd_hooks=hooks):
        yield bridge
