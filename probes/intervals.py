"""Bootstrap intervals over prompts."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

N_RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


@lru_cache(maxsize=16)
def resampling_weights(n_prompts: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Bootstrap resamples as weights [resample prompt], each row summing to 1.

    A resampled mean is then ``weights @ values``. The array is shared and read-only. Raises ValueError for fewer than
    2 prompts, over which nothing varies.
    """
    if n_prompts < 2:
        raise ValueError(f"An interval over prompts needs at least 2 prompts, got {n_prompts}. Give more prompts.")
    counts = np.random.default_rng(seed).multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=n_resamples)
    weights = counts / n_prompts
    weights.setflags(write=False)
    return weights


def percentiles(resampled: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 95 % percentile interval over the first axis."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.asarray(resampled, dtype=np.float64), [tail, 100 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


def bootstrap_mean(values: ArrayLike) -> Interval:
    """Mean over prompts of ``values`` [prompt]. Raises ValueError for fewer than 2 prompts."""
    array = np.asarray(values, dtype=np.float64)
    low, high = percentiles(resampling_weights(len(array)) @ array)
    return Interval(float(array.mean()), float(low), float(high))


def bootstrap_ratio(numerator: ArrayLike, denominator: ArrayLike) -> Interval:
    """Ratio of two sums over the same prompts, both [prompt]; the prompts are resampled together.

    Raises ValueError for fewer than 2 prompts and where the denominators sum to 0.
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if bottom.sum() == 0:
        raise ValueError("The ratio is undefined: its denominator is 0 over all prompts (a constant target, perhaps).")
    weights = resampling_weights(len(top))
    low, high = percentiles((weights @ top) / (weights @ bottom))
    return Interval(float(top.sum() / bottom.sum()), float(low), float(high))


def mean_over_runs(values: ArrayLike) -> Interval:
    """Mean over independent runs of ``values`` [run], with Student's t interval, which holds for few runs too.

    Raises ValueError for fewer than 2 runs.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        raise ValueError(f"An interval over runs needs at least 2 of them, got {len(array)}.")
    half = stats.t.ppf(0.5 + LEVEL / 2, len(array) - 1) * array.std(ddof=1) / len(array) ** 0.5
    return Interval(float(array.mean()), float(array.mean() - half), float(array.mean() + half))
