"""A number of every run against a swept field, and what differs between the field's ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from probes import Interval, mean_over_runs


def spread_over_seeds(
    results: pd.DataFrame, field: str, others: Sequence[str], number: str, control: str | None = None
) -> pd.DataFrame:
    """Mean, lowest and highest of a number over the seeds of finished runs, for every value of a field.

    Columns: the field, series (the values of the other swept fields, empty where there are none), seeds (how many),
    mean, low, high, and control (the mean of that number) if there is one. Values come in the order of the sweep file,
    numbers ascending.
    """
    kept = results[(results["status"] == "finished") & results[number].notna()]
    series = [settings_of(row, others) for row in kept[list(others)].to_dict("records")]
    groups = kept.assign(series=series).groupby([field, "series"], sort=is_ordered(kept[field]))
    table = groups[number].agg(seeds="count", mean="mean", low="min", high="max")
    return (table if control is None else table.assign(control=groups[control].mean())).reset_index()


def settings_of(row: Mapping[Any, Any], fields: Sequence[str]) -> str:
    """The values of some fields in a row, as a label."""
    return ", ".join(f"{name.rsplit('.', 1)[-1]} {row[name]}" for name in fields)


def is_ordered(values: "pd.Series[float]") -> bool:
    """Whether a field's values are numbers."""
    return bool(is_numeric_dtype(values) and not is_bool_dtype(values))


@dataclass(frozen=True)
class Contrast:
    """How a number at the field's highest value compares with that at its lowest, other fields being equal."""

    start: float
    end: float
    ratio: Interval
    """Geometric mean over seeds of the ratio, end to start, with Student's t interval of its logarithm."""
    per_seed: dict[int, float]
    settings: int
    """Combinations of the other fields that the ratios are averaged over."""
    diverged: tuple[int, int]
    """Runs at the start and at the end that diverged, and so are in no ratio."""


def contrast(results: pd.DataFrame, field: str, others: Sequence[str], number: str) -> Contrast | None:
    """Compare the ends of a swept field in a positive number, seed by seed.

    None where the field has no order or a single value, and where fewer than 2 seeds have finished runs at both ends
    of the same combinations of the other fields.
    """
    kept = results[(results["status"] == "finished") & (results[number] > 0)]
    if kept.empty or not is_ordered(kept[field]) or kept[field].nunique() < 2:
        return None
    start, end = kept[field].min(), kept[field].max()
    settings = [settings_of(row, others) for row in kept[list(others)].to_dict("records")]
    logs = kept.assign(setting=settings, log=np.log(kept[number].to_numpy(dtype=float)))
    low, high = (
        logs[logs[field] == value].pivot(index="seed", columns="setting", values="log") for value in (start, end)
    )
    differences = (high - low).dropna(axis=1, how="all").dropna(axis=0)  # aligned by seed and setting
    if differences.empty or len(differences) < 2:
        return None
    means = differences.mean(axis=1)
    interval = mean_over_runs(means)
    ratio = Interval(*(float(np.exp(value)) for value in (interval.estimate, interval.low, interval.high)))
    per_seed = {int(str(seed)): float(np.exp(value)) for seed, value in means.items()}
    lost = results[results["status"] == "diverged"][field]
    diverged = int((lost == start).sum()), int((lost == end).sum())
    return Contrast(float(start), float(end), ratio, per_seed, differences.shape[1], diverged)
