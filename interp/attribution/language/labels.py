"""What each head of a language model is called, and on what evidence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.attribution.language.ablation import MODES
from interp.attribution.language.controls import Head, names_of

KINDS = ("previous-token", "duplicate-token", "induction")
"""Scores that give a head its label."""

NONE = "none of these"
UNDECIDED = "undecided"

THRESHOLD = 0.4
"""Attention that a label asks for at least: a head whose main business this is. Uniform attention over 101 tokens gives
0.02, and what untrained heads reach is measured. The field has no agreed value; the scores are there for another."""

COPIES_BELOW = 0.05
"""p-value of `score_copying` below which a head is said to copy."""


def label_language_heads(
    scores: pd.DataFrame,
    *,
    untrained: pd.DataFrame | None = None,
    copying: pd.DataFrame | None = None,
    ablation: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per head: previous-token, duplicate-token, induction, none of these, or undecided.

    A head bears the label of a score whose interval lies above a bar: `THRESHOLD`, the score's chance level, or the
    highest upper end of that score among all heads of ``untrained``, whichever is highest. With several it is the one
    with the highest value. *undecided* has no such score but an interval across a bar; with *none of these* all
    intervals end below. ``scores`` and ``untrained`` are tables of `score_language_heads` (of several untrained models,
    if need be, one below the other).

    Columns: layer (of blocks, from 1), head, label, score (the one that decides: the label's own, or the one that comes
    nearest to its bar), value, ci_low, ci_high, bar. With ``copying`` (`score_copying`): copying, copying_p, copies.
    With ``ablation`` (`ablation_of_heads`, its sets named by label): confirmed, for labelled heads. ``alone``: ablated
    to zero and to the mean, the loss on repeats rises clear of that without random heads. ``together``: it does so for
    all heads of the label, not for this one. Either of these ``against directions``, where a layer has too few other
    heads. ``no``: neither. ``inconclusive``: neither, and there were no random heads to tell by.
    """
    rows = []
    highest = {} if untrained is None else untrained.groupby("score")["ci_high"].max().to_dict()
    for (layer, head), of_head in scores.groupby(["layer", "head"], sort=True):
        decided = _decide(of_head.set_index("score").to_dict("index"), highest)
        rows.append({"layer": layer, "head": head, **decided})
    labels = pd.DataFrame(rows)
    if copying is not None:
        columns = copying[["layer", "head", "copying", "p_value"]].rename(columns={"p_value": "copying_p"})
        labels = labels.merge(columns, on=["layer", "head"], how="left")
        labels["copies"] = labels["copying_p"] <= COPIES_BELOW
    if ablation is not None:
        by_kind = labelled_heads(labels)
        confirmed = {head: _confirmed(ablation, kind, head, heads) for kind, heads in by_kind.items() for head in heads}
        places = labels[["layer", "head"]].itertuples(index=False)
        labels["confirmed"] = [confirmed.get((int(layer) - 1, int(head)), "") for layer, head in places]
    return labels


def labelled_heads(labels: pd.DataFrame) -> dict[str, list[Head]]:
    """The heads of each label in `KINDS` that occurs, (layer, head) with layers from 0 as in hook names."""
    return {
        kind: [(int(layer) - 1, int(head)) for layer, head in of_kind[["layer", "head"]].itertuples(index=False)]
        for kind in KINDS
        if len(of_kind := labels[labels["label"] == kind])
    }


def _decide(scores: Mapping[Any, Mapping[Any, float]], untrained: Mapping[Any, float]) -> dict[str, Any]:
    """The label of one head, and the score that decides it."""
    defined = [kind for kind in KINDS if np.isfinite(scores[kind]["value"])]
    bar = {kind: max(THRESHOLD, scores[kind]["chance"], untrained.get(kind, 0.0)) for kind in defined}
    above = [kind for kind in bar if scores[kind]["ci_low"] > bar[kind]]
    across = [kind for kind in bar if scores[kind]["ci_low"] <= bar[kind] < scores[kind]["ci_high"]]
    if above:
        score = label = max(above, key=lambda kind: scores[kind]["value"])
    else:
        score = max(across or bar, key=lambda kind: scores[kind]["value"] - bar[kind])
        label = UNDECIDED if across else NONE
    columns = {name: scores[score][name] for name in ("value", "ci_low", "ci_high")}
    return {"label": label, "score": score, **columns, "bar": bar[score]}


def _confirmed(ablation: pd.DataFrame, kind: str, head: Head, heads: Sequence[Head]) -> str:
    of_kind = ablation[(ablation["set"] == kind) & (ablation["part"] == "repeat")]
    for name, ablated in (("alone", [head]), ("together", heads)):
        rows = of_kind[of_kind["heads"] == names_of(ablated)]
        if len(rows) == len(MODES) and (rows["verdict"] == "clear").all():
            return name if (rows["control"] == "heads").all() else f"{name}, against directions"
    return "no" if (of_kind["control"] == "heads").all() else "inconclusive"
