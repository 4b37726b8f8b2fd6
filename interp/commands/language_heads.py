"""``interp heads`` of a language model."""

from pathlib import Path
from typing import Any

import pandas as pd

from interp.attribution.language import SCORES, labelled_heads, study_heads
from interp.commands._common import print_table, say, write_tables

TITLES = {
    "labels": "What each head is",
    "repeats": "Loss in nats",
    "copying": "Copying by OV circuits",
    "composition": "Composition of previous-token with induction heads",
    "ablation": "Loss without the labelled heads",
    "edges": "Cut edges",
}
"""Tables that are shown after the scores, in this order."""


def language_heads(
    bridge: Any,  # TransformerBridge
    *,
    n_sequences: int,
    period: int,
    draws: int,
    effects: bool,
    seed: int,
    out: Path | None,
    json: Path | None,
) -> None:
    """Find, label and test a language model's heads; write the tables where asked, and show them."""
    study = study_heads(bridge, n_sequences=n_sequences, period=period, n_draws=draws, effects=effects, seed=seed)
    write_tables(study.tables, out, json)
    print_table(_wide(study.scores), "Attention, by kind of key")
    for name, title in TITLES.items():
        if len(study.tables.get(name, ())):
            print_table(study.tables[name], title)
    if not labelled_heads(study.labels):
        say("No head bears a label: there is nothing to ablate.")


def _wide(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per head, one column per score."""
    return scores.pivot(index=["layer", "head"], columns="score", values="value")[list(SCORES)].reset_index()
