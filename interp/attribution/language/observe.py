"""One pass of a language model: its loss at every token, and where its heads look."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.masks import SCORES, key_masks
from interp.models.language_checks import pattern_hooks
from interp.tasks import TokenSequences

Intervention = Callable[[TokenSequences], AbstractContextManager[object]]
"""What is done to a model while it reads a batch."""

BYTES_AT_ONCE = 2**29
"""Memory that one batch's logits, or one layer's patterns, may take."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one pass over some sequences showed. Everything is on the CPU, in float64."""

    losses: Float[np.ndarray, "prompt target"]
    """Next-token loss in nats; target t is the token at position t + 1, predicted at position t."""
    attention: Float[np.ndarray, "prompt layer head score"]
    """Attention on the keys of each kind in `SCORES`, mean over the queries that have such a key; NaN without any."""
    shares: Float[np.ndarray, "prompt layer head score"]
    """The same attention as a share of all queries' (TransformerLens's detect_head with error_measure="mul")."""
    uniform: Float[np.ndarray, "prompt score"]
    """What a head that looks at all keys in sight alike would have as ``attention``."""


def untouched(batch: TokenSequences) -> AbstractContextManager[object]:
    """The intervention that does nothing."""
    return nullcontext()


@torch.no_grad()
def observe(bridge: TransformerBridge, sequences: TokenSequences, intervene: Intervention = untouched) -> Observation:
    """Run the sequences, as many at a time as memory allows.

    Patterns are reduced where they arise, layer by layer, and never kept.
    """
    names = pattern_hooks(bridge)
    losses, attention, shares, uniform = [], [], [], []
    for batch in batches(bridge, sequences):
        masks = key_masks(batch.tokens)
        found = {name: _Collected() for name in names}
        hooks = [(name, _collector(found[name], masks)) for name in names]
        with intervene(batch), bridge.hooks(fwd_hooks=hooks):
            lost = bridge(batch.tokens, return_type="loss", loss_per_token=True)
        losses.append(lost.double().cpu())
        on_keys = torch.stack([found[name].on_keys for name in names], dim=1).cpu()  # [prompt layer head score]
        total = torch.stack([found[name].total for name in names], dim=1).cpu()  # [prompt layer head]
        n_queries = masks.any(-1).sum(-1).cpu()  # [prompt score]
        attention.append(on_keys / n_queries[:, None, None])
        shares.append(on_keys / total[..., None])
        in_sight = torch.arange(1, masks.shape[-1] + 1, device=masks.device)
        expected = (masks.sum(-1) / in_sight).double().sum(-1).cpu()
        uniform.append(expected / n_queries)
    return Observation(
        losses=torch.cat(losses).numpy(),
        attention=torch.cat(attention).numpy(),
        shares=torch.cat(shares).numpy(),
        uniform=torch.cat(uniform).numpy(),
    )


def batches(bridge: TransformerBridge, sequences: TokenSequences) -> Iterator[TokenSequences]:
    """The sequences on the model's device, in batches that fit into `BYTES_AT_ONCE`."""
    parameter = next(bridge.parameters())
    n_pos = sequences.n_pos
    logits = 3 * n_pos * bridge.cfg.d_vocab * parameter.element_size()  # as they are, as log-probabilities, and between
    patterns = (bridge.cfg.n_heads + len(SCORES)) * n_pos**2 * 8
    at_once = max(1, BYTES_AT_ONCE // max(logits, patterns))
    for start in range(0, len(sequences), at_once):
        yield sequences[start : start + at_once].to(parameter.device)


class _Collected:
    """Sums over one layer's patterns."""

    on_keys: Float[Tensor, "prompt head score"]
    total: Float[Tensor, "prompt head"]


def _collector(into: _Collected, masks: Bool[Tensor, "prompt score query key"]) -> Callable[[Tensor, HookPoint], None]:
    """A hook that reduces a pattern and leaves it as it is."""

    def collect(pattern: Float[Tensor, "prompt head query key"], hook: HookPoint) -> None:
        flat = pattern.double().flatten(2)
        into.on_keys = flat @ masks.double().flatten(2).mT
        into.total = flat.sum(-1)

    return collect


def check_sequences(bridge: TransformerBridge, sequences: TokenSequences) -> None:
    """Raise ValueError for sequences that the model cannot read, that predict nothing, or that are fewer than 2."""
    cfg = bridge.cfg
    if len(sequences) < 2:
        raise ValueError(f"Intervals need at least 2 sequences, over which they are taken; got {len(sequences)}.")
    if not 2 <= sequences.n_pos <= cfg.n_ctx:
        raise ValueError(
            f"Sequences need 2..{cfg.n_ctx} tokens, the model's context, got {sequences.n_pos}; "
            f"{'a single token predicts nothing' if sequences.n_pos < 2 else 'shorten them'}."
        )
    tokens = sequences.tokens
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < cfg.d_vocab:
        raise ValueError(
            f"Tokens must be ids in 0..{cfg.d_vocab - 1}, got {int(tokens.min())}..{int(tokens.max())}; "
            "encode them with the model's own tokenizer."
        )
