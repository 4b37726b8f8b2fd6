"""``interp heads`` of a model of in-context regression."""

from pathlib import Path

import pandas as pd

from interp.attribution import (
    ablation_effects,
    attention_by_offset,
    copying_scores,
    label_heads,
    score_heads,
    written_by_heads,
)
from interp.attribution.bars import PARTS
from interp.attribution.copying_scores import LEAST_PROMPTS
from interp.attribution.neighbours import LEAST_EXAMPLES, has_neighbours
from interp.commands._common import print_table, write_tables
from interp.models.regressor import RegressionModel
from interp.tasks import Prompts

SHOWN = ["layer", "head", "label", "way", "unused", *PARTS, "needed", "confirmed"]
"""Columns of the labels that fit on a terminal; the files have the intervals too."""


def regression_heads(
    model: RegressionModel, *, n_prompts: int, draws: int, seed: int, out: Path | None, json: Path | None
) -> None:
    """Measure where heads look, what breaks without them and whether they copy.

    The tables are written where asked, and shown. Those on copying are left out for models that read x and y in one
    token, and for too few prompts or examples.
    """
    prompts = model.task.sample(n_prompts, seed=seed)
    tables = {
        "scores": score_heads(model, prompts),
        "ablation": ablation_effects(model, prompts, n_draws=draws, seed=seed),
    }
    copies = has_neighbours(model, prompts) and prompts.n_examples >= LEAST_EXAMPLES and len(prompts) >= LEAST_PROMPTS
    if copies:
        tables |= _copying_tables(model, prompts, tables["ablation"], seed)
    write_tables(tables, out, json)
    print_table(tables["scores"], "Share of attention")
    print_table(tables["ablation"], "Rise of the loss without a head")
    if copies:
        labels = tables["copying"]
        print_table(labels[SHOWN], "Copying of neighbouring tokens")
        written = tables["written"].merge(labels.loc[labels["label"] == "copy", ["layer", "head"]])
        if len(written):
            print_table(written, "What copying heads write, by their weights and those of later heads")


def _copying_tables(
    model: RegressionModel, prompts: Prompts, effects: pd.DataFrame, seed: int
) -> dict[str, pd.DataFrame]:
    scores = copying_scores(model, prompts, seed=seed)
    return {
        "copying": label_heads(scores, effects),
        "copying_scores": scores,
        "attention_by_offset": attention_by_offset(model, prompts),
        "written": written_by_heads(model, prompts),
    }
