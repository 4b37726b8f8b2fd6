"""Finding hyperparameters: a grid over the whole range, then a simplex search from its best valleys."""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

GRID = {1: 41, 2: 13}
"""Grid points per hyperparameter, by how many there are."""
REFINED = 3
"""How many of the grid's local minima are refined: the best ones, since the deepest valley may be a narrow one."""
EVALUATIONS = 40
"""Most evaluations of one refinement, per hyperparameter."""


@dataclass(frozen=True)
class Range:
    """Where to look for one hyperparameter, on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value at ``share`` of the way, in [0, 1]."""
        share = min(max(share, 0.0), 1.0)
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


@dataclass(frozen=True)
class Search:
    """The best hyperparameters found and the objective there."""

    values: dict[str, float]
    objective: float


def search(objective: Callable[[dict[str, float]], float], space: Mapping[str, Range]) -> Search:
    """Minimise ``objective`` over one or two hyperparameters. Not-finite values count as infinitely bad.

    Raises ValueError for an empty space, and when no point of the grid gives a finite objective.
    """
    if len(space) not in GRID:
        raise ValueError(f"A search takes one or two hyperparameters, got {sorted(space)}.")
    names = list(space)

    def evaluate(shares: np.ndarray) -> float:
        value = objective({name: space[name].at(share) for name, share in zip(names, shares, strict=True)})
        return value if math.isfinite(value) else math.inf

    shape = (GRID[len(names)],) * len(names)
    ticks = np.linspace(0, 1, shape[0])
    values = np.array([evaluate(np.array(point)) for point in itertools.product(ticks, repeat=len(names))]).reshape(shape)
    if not np.isfinite(values).any():
        raise ValueError(f"No value of {names} in {dict(space)} gives a finite objective; the data may be degenerate.")
    valleys = sorted(_local_minima(values), key=lambda index: values[index])[:REFINED]
    best, best_at = values[valleys[0]], ticks[list(valleys[0])]
    for index in valleys:
        start = ticks[list(index)]
        inward = np.where(start < 0.5, ticks[1], -ticks[1])
        result = minimize(
            evaluate,
            start,
            method="Nelder-Mead",
            bounds=[(0.0, 1.0)] * len(names),
            options={
                "initial_simplex": np.vstack([start, start + np.diag(inward)]),
                "xatol": 1e-7,
                "fatol": 1e-13,
                "maxfev": EVALUATIONS * len(names),
            },
        )
        if result.fun < best:
            best, best_at = float(result.fun), result.x
    return Search(
        values={name: space[name].at(share) for name, share in zip(names, best_at, strict=True)}, objective=float(best)
    )


def _local_minima(values: np.ndarray) -> list[tuple[int, ...]]:
    """Indices of the finite grid points that no neighbour along an axis undercuts."""
    found = []
    for index in np.ndindex(values.shape):
        neighbours = [
            (*index[:axis], index[axis] + side, *index[axis + 1 :])
            for axis in range(values.ndim)
            for side in (-1, 1)
            if 0 <= index[axis] + side < values.shape[axis]
        ]
        if np.isfinite(values[index]) and all(values[index] <= values[near] for near in neighbours):
            found.append(index)
    return found
