"""How far two predictors are apart under several shifts, at the most."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interp.matching.shifts import ShiftedAnswers
from probes import Interval, resampling_weights
from probes.intervals import LEVEL, percentiles

TINY = 1e-300
"""A loss of 0, so that it has a logarithm."""


@dataclass(frozen=True)
class Apart:
    """How much two predictors differ: one number for each shift, and the largest of them."""

    by_shift: Float[np.ndarray, " shift"]
    largest: Interval

    @property
    def worst(self) -> int:
        """Index of the shift at which they differ most."""
        return int(self.by_shift.argmax())


def loss_factors(ours: Float[np.ndarray, "shift prompt"], theirs: Float[np.ndarray, "shift prompt"]) -> Apart:
    """By which factor, up or down, two predictors' mean losses on the same prompts differ under each of several shifts.

    It is 1 where they are equal, never below; infinite where one of the two is not finite, and 1 where neither is.
    The interval of the largest factor allows for its having been picked from many. Its lower end is that of a band
    around all log ratios at once (95 % in total, each as wide in units of its own bootstrap error). Its upper end is
    the highest of the upper ends of the single 95 % intervals: whichever shift the true largest factor belongs to is
    among them, so that this end needs no such allowance.
    """
    diverged = [~np.isfinite(losses).all(1) for losses in (ours, theirs)]
    apart, kept = diverged[0] ^ diverged[1], ~(diverged[0] | diverged[1])
    if apart.any() or not kept.any():
        low = math.inf if apart.any() else 1.0
        return Apart(np.where(apart, np.inf, 1.0), Interval(low, low, math.inf))
    weights = resampling_weights(ours.shape[1])
    ratio, resampled = _log_ratios(ours[kept], theirs[kept], weights)
    # Up or down: every ratio comes with its inverse.
    largest = largest_of(np.concatenate([ratio, -ratio]), np.concatenate([resampled, -resampled], axis=1))
    by_shift = np.ones(len(ours))
    by_shift[kept] = np.exp(np.abs(ratio))
    return Apart(by_shift, Interval(float(by_shift.max()), math.exp(max(0.0, largest.low)), math.exp(largest.high)))


def answer_distances(found: ShiftedAnswers, ours: str, theirs: str) -> Apart:
    """How far two predictors' answers are apart: mean squared distance as a share of the mean squared target.

    Unlike a ratio of losses it makes sense where one of them is exact, as least squares without noise. It is infinite
    where an answer is not finite. The interval of the largest is that of `loss_factors`, which see.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.square(found.answers[ours] - found.answers[theirs])
    kept = np.isfinite(gaps).all(1)
    by_shift = np.full(len(gaps), np.inf)
    if kept.any():
        ratio, resampled = _log_ratios(gaps[kept], np.square(found.targets[kept]), resampling_weights(gaps.shape[1]))
        by_shift[kept] = np.exp(ratio)
    if not kept.all():
        return Apart(by_shift, Interval(math.inf, math.inf, math.inf))
    largest = largest_of(ratio, resampled)
    return Apart(by_shift, Interval(*map(math.exp, (largest.estimate, largest.low, largest.high))))


def _log_ratios(
    top: Float[np.ndarray, "shift prompt"],
    bottom: Float[np.ndarray, "shift prompt"],
    weights: Float[np.ndarray, "draw prompt"],
) -> tuple[Float[np.ndarray, " shift"], Float[np.ndarray, "draw shift"]]:
    """Logarithms of the ratio of the means over prompts, as they are and resampled."""

    def log(values: np.ndarray) -> np.ndarray:
        return np.log(values.clip(TINY))

    return log(top.mean(1)) - log(bottom.mean(1)), log(weights @ top.T) - log(weights @ bottom.T)


def largest_of(values: Float[np.ndarray, " shift"], resampled: Float[np.ndarray, "draw shift"]) -> Interval:
    """The largest of several values, with an interval that allows for its having been picked; see `loss_factors`.

    ``resampled`` are the values in bootstrap resamples of the prompts.
    """
    error = resampled.std(0).clip(TINY)
    band = np.percentile((np.abs(resampled - values) / error).max(1), 100 * LEVEL)
    top = float(values.max())
    low = float((values - band * error).max())
    return Interval(top, low, max(top, float(percentiles(resampled)[1].max())))
