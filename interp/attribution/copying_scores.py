"""What every head does along every way of copying."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp._progress import track
from interp.attribution.bars import CONTROLS, ENDS, PARTS, misses_bar
from interp.attribution.carried import carried_contents
from interp.attribution.heads import require_heads
from interp.attribution.neighbours import WAYS, Case, require_neighbours
from interp.attribution.offsets import neighbour_attention
from interp.attribution.restoration import Restored, restore_neighbours
from interp.attribution.swapping import Swapped, swap_outputs
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import Interval, bootstrap_mean

NO_INTERVAL = Interval(math.nan, math.nan, math.nan)
LEAST_PROMPTS = 8
"""Fewest prompts whose halves hold enough to fit a readout, to choose its penalty and to score it."""


def copying_scores(
    model: HookedRegressor, prompts: Prompts, *, twins: Sequence[HookedRegressor] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Measure every head on every way of copying: one row per (layer, head, way).

    Columns: layer (of blocks, from 1), head, way, and for each of `PARTS` its value with its 95 % interval over prompts
    (NAME, NAME_low, NAME_high) and its controls (NAME_CONTROL, their mean, and NAME_CONTROL_high, their highest upper
    end):

    - attention: the neighbour's share of the attention to tokens other than the reader; control random_init.
    - carried: held-out R2 of a linear readout of the head's output for what the neighbour holds; controls random_init
      and wrong (what another reader's neighbour holds).
    - restored: share of the damage to the prediction, when one neighbour's content is replaced, that the head's clean
      output at the reader undoes; control elsewhere (put back at another reader). See `restore_neighbours`.
    - swapped: rise of the loss when the head puts out, at all readers, what it would with other contents of the
      neighbours; control rest (with the same contents, and all else different). See `swap_outputs`.

    The untrained twins go through the same pipeline, head by head. The last two parts are interventions, which take
    most of the time: they are measured for all heads of a layer if the first two leave the way open for one of them,
    and are NaN otherwise. Raises ValueError for models without heads or without neighbours, for prompts of fewer than 3
    examples, for fewer than 8 prompts, and as `make_twins`.
    """
    require_heads(model)
    require_neighbours(model, prompts)
    if len(prompts) < LEAST_PROMPTS:
        raise ValueError(
            f"Copying scores need at least {LEAST_PROMPTS} prompts (half to fit readouts, a quarter of it held out), "
            f"got {len(prompts)}."
        )
    untrained = make_twins(model, twins)
    with track("copying", 1 + len(untrained)) as tracker:
        measured = []
        for subject in (model, *untrained):
            measured.append((neighbour_attention(subject, prompts), carried_contents(subject, prompts)))
            tracker.advance()
    rows = []
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):
            for way in WAYS:
                looks, *twins_look = (bootstrap_mean(attention[way][layer, head]) for attention, _ in measured)
                holds, *twins_hold = (carried[way, layer, head] for _, carried in measured)
                row: dict[str, Any] = {"layer": layer + 1, "head": head, "way": way}
                row |= _columns("attention", looks, {"random_init": twins_look})
                row |= _columns(
                    "carried",
                    holds.right,
                    {"random_init": [twin.right for twin in twins_hold], "wrong": [holds.wrong]},
                )
                rows.append(row)
    table = pd.DataFrame(rows)
    cases = _cases_left_open(table)
    restored = restore_neighbours(model, prompts, cases, seed=seed)
    swapped = swap_outputs(model, prompts, cases)
    columns = []
    for case in _cases(table):
        undone = restored.get(case, Restored(NO_INTERVAL, NO_INTERVAL))
        other = swapped.get(case, Swapped(NO_INTERVAL, NO_INTERVAL))
        columns.append(
            _columns("restored", undone.at_reader, {"elsewhere": [undone.elsewhere]})
            | _columns("swapped", other.content, {"rest": [other.rest]})
        )
    return table.join(pd.DataFrame(columns))


def _cases(table: pd.DataFrame) -> list[Case]:
    keys = table[["way", "layer", "head"]].itertuples(index=False)
    return [(str(way), int(layer) - 1, int(head)) for way, layer, head in keys]


def _cases_left_open(table: pd.DataFrame) -> list[Case]:
    """Each way, with all heads of the layers in which attention and readouts leave it open for one of them."""
    left_open = table[~(misses_bar(table, "attention") | misses_bar(table, "carried"))]
    layers = {(way, layer) for way, layer, _ in _cases(left_open)}
    return [case for case in _cases(table) if case[:2] in layers]


def no_scores() -> pd.DataFrame:
    """The table of `copying_scores` for a model without neighbours: no way of copying to measure."""
    columns = [f"{part}{end}" for part in PARTS for end in ENDS]
    controls = [f"{part}_{control}_high" for part, names in CONTROLS.items() for control in names]
    return pd.DataFrame(columns=["layer", "head", "way", *columns, *controls]).astype(
        dict.fromkeys((*columns, *controls), float)
    )


def _columns(part: str, value: Interval, controls: Mapping[str, Sequence[Interval]]) -> dict[str, float]:
    columns = {part: value.estimate, f"{part}_low": value.low, f"{part}_high": value.high}
    for name, intervals in controls.items():
        columns[f"{part}_{name}"] = float(np.mean([interval.estimate for interval in intervals]))
        columns[f"{part}_{name}_high"] = max(interval.high for interval in intervals)
    return columns
