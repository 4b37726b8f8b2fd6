"""When curves of training change: the step between two levels that fits best, over one run or several."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from probes import Interval, mean_over_runs

SUDDEN = 0.8
"""A change is sudden if the best step explains more than this share of the variance; of a straight ramp it explains
3/4, and a little more where the checkpoints are few."""
Order = Literal["dependency first", "loss first", "together", "undecided"]


@dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """The step between two levels that fits a curve best, in least squares."""

    between: tuple[int, int]
    """The checkpoints before and after it: nothing is known of the time between them."""
    before: float
    """Mean of the curve up to the change."""
    after: float
    """Mean of the curve from the change on."""
    explained: float
    """Share of the curve's variance that the step explains."""

    @property
    def at(self) -> float:
        """Middle between the two checkpoints."""
        return sum(self.between) / 2

    @property
    def sudden(self) -> bool:
        """Whether the step fits clearly better than it fits a straight ramp."""
        return self.explained > SUDDEN


def change_point(updates: Sequence[int], values: Sequence[float]) -> ChangePoint:
    """The change point of one curve (a regression tree of two leaves), the order of the checkpoints being that of time.

    Raises ValueError for fewer than two checkpoints and for a curve that is constant.
    """
    order = np.argsort(updates)
    times, curve = np.asarray(updates)[order], np.asarray(values, dtype=np.float64)[order]
    if len(times) < 2 or np.ptp(curve) == 0:
        raise ValueError(
            f"A change takes a curve of at least two checkpoints that is not constant, got {len(times)} checkpoint(s) "
            f"and values from {curve.min(initial=np.inf):g} to {curve.max(initial=-np.inf):g}."
        )
    places = np.arange(len(times))[:, None]  # a tree rounds its inputs to single precision
    sides = DecisionTreeRegressor(max_leaf_nodes=2).fit(places, curve).apply(places)
    first = int(np.argmax(sides != sides[0]))
    before, after = curve[:first], curve[first:]
    left = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    return ChangePoint(
        between=(int(times[first - 1]), int(times[first])),
        before=float(before.mean()),
        after=float(after.mean()),
        explained=float(1 - left / ((curve - curve.mean()) ** 2).sum()),
    )


@dataclass(frozen=True, kw_only=True)
class Transition:
    """When the loss of some runs fell and when their dependency on a token rose."""

    loss: tuple[ChangePoint, ...]
    """Of each run, in the order given."""
    dependency: tuple[ChangePoint, ...]
    """Of each run: that of the dependency on one kind of token, by one kind of reader."""

    @property
    def loss_at(self) -> Interval:
        """Update at which the loss changes: mean over runs with its 95 % interval, whose ends are NaN for one run."""
        return _over_runs([change.at for change in self.loss])

    @property
    def dependency_at(self) -> Interval:
        """Update at which the dependency changes, as `loss_at`."""
        return _over_runs([change.at for change in self.dependency])

    @property
    def lags(self) -> tuple[float, ...]:
        """Updates by which the dependency's change follows the loss's, run by run; negative where it comes first."""
        return tuple(ours.at - loss.at for ours, loss in zip(self.dependency, self.loss, strict=True))

    @property
    def lag(self) -> Interval:
        """Mean of `lags`: runs are paired with themselves, so that how fast each learns does not matter."""
        return _over_runs(self.lags)

    @property
    def resolution(self) -> float:
        """The widest gap between the checkpoints around a change: smaller lags are not seen."""
        return float(max(after - before for before, after in (c.between for c in (*self.loss, *self.dependency))))

    @property
    def sudden(self) -> bool:
        """Whether both curves of every run change in a step rather than along a ramp."""
        return all(change.sudden for change in (*self.loss, *self.dependency))

    @property
    def order(self) -> Order:
        """Which of the two changes first: by the interval of the lag, or ``together`` if that is within the resolution.

        With one run, of which no interval can be had, the lag itself decides whether they come together; which comes
        first stays undecided.
        """
        lag, resolution = self.lag, self.resolution
        low, high = (lag.estimate, lag.estimate) if len(self.loss) == 1 else (lag.low, lag.high)
        if -resolution <= low and high <= resolution:
            return "together"
        if len(self.loss) == 1 or low <= 0 <= high:
            return "undecided"
        return "dependency first" if high < 0 else "loss first"


def find_transition(
    tables: pd.DataFrame | Sequence[pd.DataFrame], *, reader: str = "x", source: str = "next"
) -> Transition:
    """The transition in one table of `dependency_over_training`, or in those of several runs of a recipe.

    The dependency is that of ``reader`` tokens on their ``source``. Raises ValueError for readers and sources that a
    table lacks, and as `change_point`.
    """
    tables = [tables] if isinstance(tables, pd.DataFrame) else list(tables)
    found = []
    for table in tables:
        rows = table[(table["reader"] == reader) & (table["source"] == source)]
        if rows.empty:
            known = sorted(set(zip(table["reader"], table["source"], strict=True)))
            raise ValueError(f"A table has no rows of {(reader, source)} (reader, source); it holds {known}.")
        updates = rows["update"].tolist()
        found.append([change_point(updates, rows[column].tolist()) for column in ("loss", "value")])
    losses, dependencies = zip(*found, strict=True)
    return Transition(loss=losses, dependency=dependencies)


def _over_runs(values: Sequence[float]) -> Interval:
    return mean_over_runs(list(values)) if len(values) > 1 else Interval(float(values[0]), math.nan, math.nan)
