"""Finding hyperparameters: a grid over the whole range, then a simplex search from its best valleys."""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

FINE, COARSE = 97, 56
"""Grid points of a hyperparameter searched alone, and of a logarithmic one beside another."""
BESIDE = 7
"""Grid points of a linear hyperparameter beside another: it spans one order of magnitude, not four."""
REFINED = 4
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


def search(
    objective: Callable[[dict[str, float]], float], space: Mapping[str, Range], *, coarse: int = COARSE
) -> Search:
    """Minimise ``objective`` over one or two hyperparameters. Not-finite values count as infinitely bad.

    ``coarse`` grid points of each of two logarithmic hyperparameters find the valleys.

    Raises ValueError for an empty space, and when no point of the grid gives a finite objective.
    """
    if len(space) not in (1, 2):
        raise ValueError(f"A search takes one or two hyperparameters, got {sorted(space)}.")
    names = list(space)

    def values_at(shares: np.ndarray) -> dict[str, float]:
        return {name: space[name].at(share) for name, share in zip(names, _mirrored(shares).tolist(), strict=True)}

    def evaluate(shares: np.ndarray) -> float:
        value = objective(values_at(shares))
        return value if math.isfinite(value) else math.inf

    axes = [np.linspace(0, 1, FINE if len(names) == 1 else coarse if space[name].log else BESIDE) for name in names]
    shape = tuple(len(axis) for axis in axes)
    values = np.array([evaluate(np.array(point)) for point in itertools.product(*axes)]).reshape(shape)
    if not np.isfinite(values).any():
        raise ValueError(f"No value of {names} in {dict(space)} gives a finite objective; the data may be degenerate.")
    valleys = sorted(_local_minima(values), key=lambda index: values[index])[:REFINED]
    spacing = np.array([axis[1] for axis in axes])
    best, best_at = values[valleys[0]], spacing * valleys[0]
    for index in valleys:
        start = spacing * index
        inward = np.where(start < 0.5, spacing, -spacing)
        result = minimize(
            evaluate,
            start,
            method="Nelder-Mead",
            options={
                "initial_simplex": np.vstack([start, start + np.diag(inward)]),
                "xatol": 1e-7,
                "fatol": 1e-13,
                "maxfev": EVALUATIONS * len(names),
            },
        )
        if result.fun < best:
            best, best_at = float(result.fun), result.x
    return Search(values=values_at(best_at), objective=float(best))


def _mirrored(shares: np.ndarray) -> np.ndarray:
    """Bring shares outside [0, 1] back inside. Clipping would flatten a simplex that starts on the edge."""
    mirrored: np.ndarray = 1 - np.abs(1 - np.mod(shares, 2))
    return mirrored


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
