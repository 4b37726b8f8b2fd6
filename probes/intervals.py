"""Bootstrap intervals over prompts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from probes.resampling import ResampledMeans, resampled_means

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


def percentiles(resampled: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 95 % percentile interval over the first axis."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.asarray(resampled, dtype=np.float64), [tail, 100 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


def bootstrap_mean(values: ArrayLike) -> Interval:
    """Mean over prompts of ``values`` [prompt]. Raises ValueError for fewer than 2 prompts."""
    return interval_of_mean(resampled_means(np.asarray(values, dtype=np.float64)))


def bootstrap_ratio(numerator: ArrayLike, denominator: ArrayLike) -> Interval:
    """Ratio of two sums over the same prompts, both [prompt]; the prompts are resampled together.

    Raises ValueError for fewer than 2 prompts and where the denominators sum to 0.
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    _require_nonzero(bottom.sum())
    return interval_of_ratio(resampled_means(top), resampled_means(bottom))


def interval_of_mean(values: ResampledMeans) -> Interval:
    """The mean of one quantity."""
    low, high = percentiles(values.resampled)
    return Interval(float(values.mean), float(low), float(high))


def interval_of_ratio(numerator: ResampledMeans, denominator: ResampledMeans) -> Interval:
    """Ratio of the means of two quantities of the same prompts. Raises ValueError for a denominator of 0.

    Resamples that leave no denominator, as where few prompts have one, have no ratio and are left out.
    """
    _require_nonzero(denominator.mean)
    some = denominator.resampled != 0
    low, high = percentiles(numerator.resampled[some] / denominator.resampled[some])
    return Interval(float(numerator.mean / denominator.mean), float(low), float(high))


def mean_over_runs(values: ArrayLike) -> Interval:
    """Mean over independent runs of ``values`` [run], with Student's t interval, which holds for few runs too.

    Raises ValueError for fewer than 2 runs.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        raise ValueError(f"An interval over runs needs at least 2 of them, got {len(array)}.")
    half = stats.t.ppf(0.5 + LEVEL / 2, len(array) - 1) * array.std(ddof=1) / len(array) ** 0.5
    return Interval(float(array.mean()), float(array.mean() - half), float(array.mean() + half))


def _require_nonzero(denominator: ArrayLike) -> None:
    if denominator == 0:
        raise ValueError("The ratio is undefined: its denominator is 0 over all prompts (a constant target, perhaps).")
