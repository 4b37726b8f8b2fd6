"""How the best-matching step count grows from layer to layer: linearly, or exponentially."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from interp.matching.ties import fewest_best, highest
from probes import Interval
from probes.intervals import percentiles

Law = Literal["linear", "exponential", "undecided"]

LEAST_LAYERS = 4
"""Fewer layers do not tell two laws of two parameters apart."""
DECISIVE = 2.0
"""Difference of Akaike's criterion from which on one law counts as better (Burnham and Anderson 2002, section 2.6)."""
INFORMED = 0.05
"""Skill from which on a layer is informed enough for its best step to mean anything."""
RESOLUTION = 0.02
"""Relative error below which a fit is not called any better: step counts are whole numbers on a grid."""

_RATIOS = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 241)])
"""Growth per layer, in units of the first layer's steps, among which that of the linear law is found."""


@dataclass(frozen=True)
class GrowthLaw:
    """Steps per layer, and which law they follow."""

    law: Law
    layers: tuple[int, ...]
    """The layers that count: informed, and matched inside the range of steps that were tried."""
    steps: tuple[float, ...]
    """Of each of these layers."""
    per_layer: Interval
    """Steps that the linear law adds with each layer."""
    factor: Interval
    """What the exponential law multiplies them by with each layer."""
    aic_difference: Interval
    """Akaike's criterion of the linear law minus that of the exponential one: above 0 the exponential fits better."""
    reason: str

    def to_row(self) -> dict[str, Any]:
        """The law as a row of a table."""
        row: dict[str, Any] = {
            "law": self.law,
            "layers": ",".join(map(str, self.layers)),
            "steps": ",".join(f"{step:g}" for step in self.steps),
        }
        for name in ("per_layer", "factor", "aic_difference"):
            interval: Interval = getattr(self, name)
            row |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return {**row, "reason": self.reason}


def fit_growth(
    steps: Float[NDArray[np.float64], " layer"],
    resampled: Float[NDArray[np.float64], "resample layer"],
    usable: Bool[NDArray[np.bool_], " layer"],
    layers: Sequence[int] | None = None,
) -> GrowthLaw:
    """Fit ``k = a + b l`` and ``k = a exp(b l)`` to the steps k of the usable layers l, and compare the two.

    Both have two parameters and growing steps; errors are relative (normal in log k), so that the first layers count
    as much as the last. The law is the one that Akaike's criterion prefers by more than `DECISIVE` in the whole 95 %
    interval over ``resampled`` steps, else undecided. ``layers`` are 0, 1, ... unless given. Raises ValueError for
    usable steps that are not positive.
    """
    numbers = np.arange(len(steps)) if layers is None else np.asarray(layers)
    kept = np.flatnonzero(usable)
    if (steps[kept] <= 0).any():
        raise ValueError(
            f"Growth is fitted to positive step counts, got {steps[kept].tolist()}; leave layers at 0 out."
        )
    used = tuple(int(layer) for layer in numbers[kept])
    nothing = Interval(math.nan, math.nan, math.nan)
    if len(kept) < LEAST_LAYERS:
        return GrowthLaw(
            law="undecided",
            layers=used,
            steps=tuple(steps[kept].tolist()),
            per_layer=nothing,
            factor=nothing,
            aic_difference=nothing,
            reason=f"layers that are informed and matched within the steps tried: {len(kept)}; a law takes "
            f"{LEAST_LAYERS}",
        )
    x = numbers[kept] - numbers[kept[0]]
    estimate = _compare(np.log(steps[None, kept]), x)
    # A resample may choose step 0 for a layer, which has no logarithm; it counts as half a step.
    drawn = _compare(np.log(np.maximum(resampled[:, kept], 0.5)), x)
    slope, factor, difference = (
        Interval(float(value[0]), *(float(end) for end in percentiles(spread)))
        for value, spread in zip(estimate, drawn, strict=True)
    )
    law: Law = "undecided"
    reason = f"Akaike's criterion does not tell the laws apart by {DECISIVE:g} in the whole interval"
    if difference.low > DECISIVE:
        law, reason = "exponential", "Akaike's criterion prefers it to the linear law in the whole interval"
    elif difference.high < -DECISIVE:
        law, reason = "linear", "Akaike's criterion prefers it to the exponential law in the whole interval"
    return GrowthLaw(
        law=law,
        layers=used,
        steps=tuple(steps[kept].tolist()),
        per_layer=slope,
        factor=factor,
        aic_difference=difference,
        reason=reason,
    )


def growth_of_best_steps(
    steps: Sequence[int],
    similarity: Float[NDArray[np.float64], "layer step"],
    resampled: Float[NDArray[np.float64], "resample layer step"],
    skill_low: Float[NDArray[np.float64], "layer step"],
) -> GrowthLaw:
    """The law of the step counts at which one solver is most similar to each layer, the embedding left out.

    A layer counts where the solver's skill there is above `INFORMED` in its whole interval and its best step is
    neither 0 nor the largest tried, beyond which nobody looked, nor as good as that: of a solver that has converged
    any number of steps will do.
    """
    grid = np.asarray(steps, dtype=np.float64)
    best, drawn = fewest_best(similarity, steps), fewest_best(resampled, steps)
    inside = (grid[best] > 0) & ~highest(similarity)[:, grid.argmax()]
    at_best = np.take_along_axis(skill_low, best[:, None], axis=1)[:, 0]
    usable = inside & (np.nan_to_num(at_best, nan=0.0) > INFORMED)
    usable[0] = False
    return fit_growth(grid[best], grid[drawn], usable)


def _compare(
    logs: Float[NDArray[np.float64], "draw layer"], x: Int[NDArray[np.int_], " layer"]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Slope of the linear law, factor of the exponential one, and their difference in Akaike's criterion; each [draw].

    The linear law is ``c (1 + r x)``: for a given r the best c is the mean of what is left in the logarithm.
    """
    left = logs[:, None, :] - np.log1p(_RATIOS[:, None] * x)[None]  # [draw ratio layer]
    errors = left.var(axis=-1)
    best = errors.argmin(axis=1)
    rows = np.arange(len(logs))
    start = np.exp(left[rows, best].mean(-1))
    centred = x - x.mean()
    rate = np.maximum((logs * centred).sum(-1) / (centred**2).sum(), 0.0)
    exponential = (logs - rate[:, None] * x).var(axis=-1)
    floor = RESOLUTION**2
    difference = len(x) * (np.log(errors[rows, best] + floor) - np.log(exponential + floor))
    return start * _RATIOS[best], np.exp(rate), difference
