"""Where the heads of a language model look."""

from typing import Any

import numpy as np
import pandas as pd
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.masks import SCORES
from interp.attribution.language.observe import Observation, check_sequences, observe
from interp.models.language import evaluation_sequences
from interp.models.language_checks import check_language_model
from interp.tasks import TokenSequences
from probes import bootstrap_mean


def score_language_heads(
    bridge: TransformerBridge,
    sequences: TokenSequences | None = None,
    *,
    n_sequences: int = 8,
    period: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """How much each head looks at the previous, a duplicate, the induction, the current and the first token.

    ``sequences`` are by default ``n_sequences`` of random tokens, each twice ``period`` long (`evaluation_sequences`).
    Which key is of which kind is told from the tokens (`key_masks`), so that any sequences will do. One row per (layer,
    head, score). Columns: layer (of blocks, from 1), head, score, value (attention on such keys, mean over the queries
    that have one, then over sequences; NaN where none has), ci_low, ci_high (95 % bootstrap over sequences),
    chance (uniform attention to the keys in sight) and share (of all attention, as ``detect_head`` of TransformerLens
    counts it). Raises ValueError as `check_language_model` does, for sequences of one token, beyond the context or
    the vocabulary, and for fewer than 2 of them, over which nothing varies.
    """
    check_language_model(bridge)
    if sequences is None:
        sequences = evaluation_sequences(bridge, n_sequences=n_sequences, period=period, seed=seed)
    check_sequences(bridge, sequences)
    return table_of_scores(observe(bridge, sequences))


def table_of_scores(observed: Observation) -> pd.DataFrame:
    """The table of `score_language_heads`, from a pass that was made already."""
    rows: list[dict[str, Any]] = []
    _, n_layers, n_heads, _ = observed.attention.shape
    with_keys = ~np.isnan(observed.uniform)  # [prompt score]
    for layer in range(n_layers):
        for head in range(n_heads):
            for score, name in enumerate(SCORES):
                kept = with_keys[:, score]
                row = {"layer": layer + 1, "head": head, "score": name}
                row |= _interval(observed.attention[kept, layer, head, score])
                row["chance"] = float(observed.uniform[kept, score].mean()) if kept.any() else np.nan
                row["share"] = float(observed.shares[:, layer, head, score].mean())
                rows.append(row)
    return pd.DataFrame(rows)


def _interval(values: np.ndarray) -> dict[str, float]:
    if len(values) == 0:
        return dict.fromkeys(("value", "ci_low", "ci_high"), np.nan)
    interval = bootstrap_mean(values)
    return {"value": interval.estimate, "ci_low": interval.low, "ci_high": interval.high}
