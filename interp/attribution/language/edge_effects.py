"""What breaks when induction heads no longer hear of previous tokens."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from transformer_lens.model_bridge import TransformerBridge

from interp._progress import track
from interp.attribution.language.controls import COMPARED, N_DRAWS, Head, check_heads, compare, control_sets, names_of
from interp.attribution.language.edges import attention_cut, key_input_cut
from interp.attribution.language.losses import parts_of
from interp.attribution.language.masks import SCORES, key_masks
from interp.attribution.language.observe import Observation, check_sequences, observe
from interp.models.language_checks import can_edit_patterns, check_language_model
from interp.tasks import TokenSequences

Edge = Literal["key input", "previous-token attention", "induction attention"]
"""What is cut: a head's output from other heads' key inputs, or a kind of query-key pair from a head's attention."""

COLUMNS = ("edge", "cut", "measure", "of", "before", *COMPARED)


def edge_effects(
    bridge: TransformerBridge,
    sequences: TokenSequences,
    senders: Sequence[Head],
    receivers: Sequence[Head],
    *,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """What cutting the induction circuit does to the receivers' induction scores and to the loss.

    ``senders`` are previous-token heads and ``receivers`` induction heads, (layer, head) with layers from 0 as in hook
    names. Three edges are cut. *key input*: what a sender writes is kept out of the keys of all receivers in later
    layers (`key_input_cut`). *previous-token attention*: a sender no longer sees the previous token. *induction
    attention*: a receiver no longer sees the tokens after earlier copies of its own. Each is cut for every head alone
    and for all together; the control does the same to as many other heads of the same layers, as `ablation_of_heads`.
    The last two are left out for architectures whose patterns TransformerLens cannot edit (`can_edit_patterns`).

    One row per (edge, cut, measure, of). Columns: edge, cut (the heads it is cut at: layer.head, layers from 1),
    measure (``induction``: score of the receiver named in ``of``; ``loss on first`` and ``loss on repeat``), of,
    before, change, ci_low, ci_high, random, random_low, random_high, n_random, verdict (see `compare`: a score must
    fall further, a loss rise higher than under all random cuts). Without heads on one side the table is empty.
    Raises ValueError as `ablation_of_heads` does.
    """
    check_language_model(bridge)
    check_sequences(bridge, sequences)
    n_layers, n_heads = bridge.cfg.n_layers, bridge.cfg.n_heads
    check_heads([*senders, *receivers], n_layers, n_heads)
    before = _measured(observe(bridge, sequences), sequences, receivers)
    last = max((layer for layer, _ in receivers), default=0)
    heard = [head for head in senders if head[0] < last]
    if not heard:
        return pd.DataFrame(columns=COLUMNS)

    @cache
    def change(edge: Edge, heads: frozenset[Head]) -> dict[tuple[str, str], Float[np.ndarray, " prompt"]]:
        observed = observe(bridge, sequences, _intervention(bridge, edge, sorted(heads), receivers))
        after = _measured(observed, sequences, receivers)
        return {key: after[key] - before[key] for key in before}

    cuts: list[tuple[Edge, tuple[Head, ...]]] = [("key input", heads) for heads in _each_and_all(heard)]
    if can_edit_patterns(bridge):
        cuts += [("previous-token attention", heads) for heads in _each_and_all(heard)]
        cuts += [("induction attention", heads) for heads in _each_and_all(receivers)]
    rows: list[dict[str, Any]] = []
    with track("cut edges", len(cuts)) as tracker:
        for edge, heads in cuts:
            random = control_sets(heads, [*senders, *receivers], n_heads, n_draws, seed)
            changes = change(edge, frozenset(heads))
            drawn = [change(edge, frozenset(draw)) for draw in random]
            for (measure, of), values in changes.items():
                if edge == "induction attention" and measure == "induction":
                    continue  # 0 by construction
                compared = compare(
                    values,
                    [float(other[measure, of].mean()) for other in drawn],
                    direction=-1 if measure == "induction" else 1,
                )
                base = float(before[measure, of].mean())
                rows.append(
                    {"edge": edge, "cut": names_of(heads), "measure": measure, "of": of, "before": base, **compared}
                )
            tracker.advance()
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(
    observed: Observation, sequences: TokenSequences, receivers: Sequence[Head]
) -> dict[tuple[str, str], Float[np.ndarray, " prompt"]]:
    """Every sequence's induction score at each receiver and its losses, by (measure, of)."""
    induction = observed.attention[..., SCORES.index("induction")]  # [prompt layer head]
    scores = {("induction", names_of([(layer, head)])): induction[:, layer, head] for layer, head in sorted(receivers)}
    losses = parts_of(observed, sequences)
    return {**scores, **{(f"loss on {part}", ""): values for part, values in losses.items()}}


def _intervention(
    bridge: TransformerBridge, edge: Edge, heads: Sequence[Head], receivers: Sequence[Head]
) -> Callable[[TokenSequences], AbstractContextManager[object]]:
    if edge == "key input":
        return lambda batch: key_input_cut(bridge, heads, receivers)
    score = SCORES.index("previous-token" if edge == "previous-token attention" else "induction")
    return lambda batch: attention_cut(bridge, heads, key_masks(batch.tokens)[:, score])


def _each_and_all(heads: Sequence[Head]) -> list[tuple[Head, ...]]:
    alone: list[tuple[Head, ...]] = [(head,) for head in sorted(heads)]
    return [*alone, tuple(sorted(heads))] if len(heads) > 1 else alone
