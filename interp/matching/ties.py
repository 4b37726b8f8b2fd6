"""The best of several steps, where iterates that have converged are all the same."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

TIED = 1e-12
"""Similarities that differ by less differ by rounding."""


def fewest_best(
    similarity: Float[NDArray[np.float64], "*any step"], steps: Sequence[int]
) -> Int[NDArray[np.int_], "*any"]:
    """Index of the step of the highest similarity, and of the fewest steps where several have it.

    The iterates of a solver that has converged differ by rounding alone, which would otherwise choose among them anew
    for every batch size. A similarity that is not a number is below all others.
    """
    order = np.argsort(steps, kind="stable")
    return np.asarray(order[highest(similarity)[..., order].argmax(axis=-1)])


def highest(similarity: Float[NDArray[np.float64], "*any step"]) -> Bool[NDArray[np.bool_], "*any step"]:
    """Which steps have the highest similarity, up to rounding."""
    numbers = np.nan_to_num(similarity, nan=-2.0)
    return np.asarray(numbers >= numbers.max(axis=-1, keepdims=True) - TIED)
