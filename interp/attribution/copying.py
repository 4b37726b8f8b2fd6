"""Which heads copy what stands in a neighbouring token."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from interp.attribution.ablation import ablation_effects
from interp.attribution.bars import ENDS, PARTS, clears_bar, misses_bar
from interp.attribution.copying_scores import copying_scores, no_scores
from interp.attribution.heads import require_heads
from interp.attribution.neighbours import has_neighbours
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

Label = Literal["copy", "none of these", "undecided"]
FINDING = ("attention", "carried", "restored")
"""The parts that find a way of copying or exclude it; what is left confirms it."""


def copying_heads(
    model: HookedRegressor,
    prompts: Prompts,
    *,
    twins: Sequence[HookedRegressor] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Label every head: ``copy``, ``none of these`` or ``undecided``, with intervals; see `label_heads` for the rule.

    Models that read x and y in one token have no neighbours to copy from: their heads are ``none of these``, and only
    ablated. Raises as `copying_scores` and `ablation_effects`.
    """
    require_heads(model)
    effects = ablation_effects(model, prompts, n_draws=0)
    if not has_neighbours(model, prompts):
        return label_heads(no_scores(), effects)
    return label_heads(copying_scores(model, prompts, twins=twins, seed=seed), effects)


def label_heads(scores: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Say of every head whether it copies, from `copying_scores` and `ablation_effects`.

    A way of copying is *found* where the lower ends of attention, carried and restored are above their bars (`BARS`, or
    the highest upper end of the part's controls where that is higher), and *excluded* where the upper end of one is not
    above its bar. It is *confirmed* where the loss rises both when the head is silenced and when its output is swapped
    for that of other contents, the latter more than when it is swapped for that of another rest. A head's label is

    - ``copy`` where a way is found and confirmed,
    - ``none of these`` where every way is excluded,
    - ``undecided`` otherwise.

    Columns: layer, head, label, way (those confirmed, or else those found, joined by "and"), unused (ways along which
    the head looks and whose content it holds, but which the prediction does not need), `PARTS` of one of these ways, or
    of any, that with the highest attention, with their intervals; needed (rise of the loss when the head is silenced)
    with its interval, and confirmed.
    """
    # The control of `confirmed_heads`, random vectors of the norm of the head's output, is no yardstick here: a head
    # may write long vectors where the next layer hardly reads, beside an x that shorter ones would drown.
    zero = effects[effects["intervention"] == "zero"].set_index(["layer", "head"])
    clears = {part: clears_bar(scores, part) for part in PARTS}
    misses = {part: misses_bar(scores, part) for part in FINDING}
    judged = scores.assign(
        found=np.logical_and.reduce([clears[part] for part in FINDING]),
        confirmed=np.logical_and.reduce([clears[part] for part in PARTS]),
        excluded=np.logical_or.reduce([misses[part] for part in FINDING]),
        unused=clears["attention"] & clears["carried"] & misses["restored"],
    )
    rows = []
    for layer, head in zero.index:
        ways = judged[(judged["layer"] == layer) & (judged["head"] == head)]
        needed, needed_low, needed_high = (float(zero[name][layer, head]) for name in ("increase", "ci_low", "ci_high"))
        confirmed = bool(ways["confirmed"].any()) and needed_low > 0
        found = ways[ways["confirmed" if confirmed else "found"]]
        label: Label = "copy" if confirmed else "none of these" if ways["excluded"].all() else "undecided"
        rows.append(
            {
                "layer": layer,
                "head": head,
                "label": label,
                "way": " and ".join(found["way"]),
                "unused": " and ".join(ways.loc[ways["unused"], "way"]),
                **_evidence(found if len(found) else ways),
                "needed": needed,
                "needed_low": needed_low,
                "needed_high": needed_high,
                "confirmed": confirmed,
            }
        )
    return pd.DataFrame(rows)


def _evidence(ways: pd.DataFrame) -> dict[str, float]:
    """The parts of the way with the highest attention, with their intervals; NaN where there is none."""
    names = [f"{part}{end}" for part in PARTS for end in ENDS]
    if ways.empty:
        return dict.fromkeys(names, math.nan)
    best = ways.iloc[int(ways["attention"].to_numpy().argmax())]
    return {name: float(best[name]) for name in names}
