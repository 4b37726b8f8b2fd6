"""Bootstrap means over any number of prompts, in bounded memory."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

N_RESAMPLES = 1000
BLOCK = 4096
"""Prompts whose weights are drawn, and held, at a time."""
AT_ONCE = 64
"""Resamples that are drawn at a time."""
PENDING = 512
"""Prompts that are gathered before they are weighed: one product of some size takes less time than many small ones."""


@lru_cache(maxsize=16)
def resampling_weights(n_prompts: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Bootstrap resamples as weights [resample prompt], each row summing to 1.

    A resampled mean is then ``weights @ values``. The array is shared and read-only; of many prompts it is large, and
    `ResampledSums` takes the same weights block by block. Raises ValueError for fewer than 2 prompts, over which
    nothing varies.
    """
    _require_two(n_prompts)
    if n_prompts > BLOCK:
        blocks = range(-(-n_prompts // BLOCK))
        weights = np.concatenate([_block(n_prompts, index, n_resamples, seed) for index in blocks], axis=1)
    else:
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=n_resamples) / n_prompts
    weights.setflags(write=False)
    return weights


@dataclass(frozen=True)
class ResampledMeans:
    """Means over prompts of any number of quantities, as they are and in bootstrap resamples of the prompts."""

    mean: Float[NDArray[np.float64], "..."]
    resampled: Float[NDArray[np.float64], "resample ..."]

    def __getitem__(self, index: Any) -> "ResampledMeans":
        """Some of the quantities, by what numpy takes for an index into ``mean``."""
        index = index if isinstance(index, tuple) else (index,)
        return ResampledMeans(np.asarray(self.mean[index]), np.asarray(self.resampled[(slice(None), *index)]))


class ResampledSums:
    """Collects quantities of prompts that come in order, batch by batch, and keeps no prompt for long.

    How the prompts are cut into batches does not matter. What is held grows with the number of quantities times that of
    resamples, and by the weights of one block of prompts (and two bytes for each prompt, the draws of its block).
    Raises ValueError for fewer than 2 prompts.
    """

    def __init__(self, n_prompts: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> None:
        _require_two(n_prompts)
        self._n_prompts = n_prompts
        self._draw = (n_resamples, seed)
        self._weighed = 0
        self._pending: list[NDArray[np.float64]] = []
        self._n_pending = 0
        self._shape: tuple[int, ...] = ()
        self._mean = np.zeros(0)
        self._resampled = np.zeros((n_resamples, 0))

    def add(self, values: ArrayLike) -> None:
        """Take the values [prompt ...] of the next prompts. Raises ValueError for more prompts than announced."""
        array = np.asarray(values, dtype=np.float64)
        came = self._weighed + self._n_pending + len(array)
        if came > self._n_prompts:
            raise ValueError(f"Expected {self._n_prompts} prompts, got {came} of them; announce as many as come.")
        if came == len(array):
            self._shape = array.shape[1:]
            self._mean = np.zeros(math.prod(self._shape))
            self._resampled = np.zeros((self._draw[0], len(self._mean)))
        self._pending.append(array.reshape(len(array), -1))
        self._n_pending += len(array)
        if self._n_pending >= PENDING or came == self._n_prompts:
            self._weigh()

    def means(self) -> ResampledMeans:
        """The means over all prompts. Raises ValueError before all of them have come."""
        if self._weighed < self._n_prompts:
            came = self._weighed + self._n_pending
            raise ValueError(f"Expected {self._n_prompts} prompts, got {came} of them; add the others first.")
        return ResampledMeans(self._mean.reshape(self._shape), self._resampled.reshape(-1, *self._shape))

    def _weigh(self) -> None:
        values = np.concatenate(self._pending) if len(self._pending) > 1 else self._pending[0]
        self._mean += values.sum(0) / self._n_prompts
        first, stop = self._weighed, self._weighed + len(values)
        while first < stop:
            index, ahead = divmod(first, BLOCK)
            last = min(stop, (index + 1) * BLOCK)
            weights = _weights_of_block(self._n_prompts, index, *self._draw)[:, ahead : ahead + last - first]
            self._resampled += weights @ values[first - self._weighed : last - self._weighed]
            first = last
        self._weighed, self._pending, self._n_pending = stop, [], 0


class NamedSums:
    """`ResampledSums` of several quantities under their names, weighed together."""

    def __init__(self, n_prompts: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> None:
        self._sums = ResampledSums(n_prompts, n_resamples, seed)
        self._shapes: dict[Hashable, tuple[int, ...]] = {}

    def add(self, values: Mapping[Hashable, ArrayLike]) -> None:
        """Take the values [prompt ...] of the next prompts, under the same names every time."""
        arrays = {name: np.asarray(array, dtype=np.float64) for name, array in values.items()}
        self._shapes = {name: array.shape[1:] for name, array in arrays.items()}
        self._sums.add(np.concatenate([array.reshape(len(array), -1) for array in arrays.values()], axis=1))

    def means(self) -> dict[Hashable, ResampledMeans]:
        """The means over all prompts, by name. Raises ValueError before all of them have come."""
        means, found, start = self._sums.means(), {}, 0
        for name, shape in self._shapes.items():
            part = means[start : start + math.prod(shape)]
            found[name] = ResampledMeans(part.mean.reshape(shape), part.resampled.reshape(-1, *shape))
            start += math.prod(shape)
        return found


def resampled_means(values: Float[NDArray[np.float64], "prompt ..."]) -> ResampledMeans:
    """Means over the first axis. Raises ValueError for fewer than 2 prompts."""
    sums = ResampledSums(len(values))
    sums.add(values)
    return sums.means()


def _weights_of_block(n_prompts: int, index: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Columns of `resampling_weights` that belong to a block of prompts."""
    if n_prompts <= BLOCK:
        return resampling_weights(n_prompts, n_resamples, seed)
    return _block(n_prompts, index, n_resamples, seed)


@lru_cache(maxsize=2)
def _block(n_prompts: int, index: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """As many draws as fall into the block, each to one of its prompts: a multinomial in two stages is one in one."""
    size = min(BLOCK, n_prompts - index * BLOCK)
    # Not [seed, 0], which numpy seeds as the seed alone: that of the draws by block.
    rng = np.random.default_rng([seed, index + 1])
    weights = np.empty((n_resamples, size))
    draws_of_all = _draws_by_block(n_prompts, n_resamples, seed)[:, index]
    for start in range(0, n_resamples, AT_ONCE):
        draws = draws_of_all[start : start + AT_ONCE]
        place = rng.integers(size, size=draws.sum()) + np.repeat(np.arange(len(draws)) * size, draws)
        counts = np.bincount(place, minlength=len(draws) * size)
        weights[start : start + AT_ONCE] = counts.reshape(-1, size) / n_prompts
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=4)
def _draws_by_block(n_prompts: int, n_resamples: int, seed: int) -> NDArray[np.int64]:
    """How many of a resample's ``n_prompts`` draws fall into each block [resample block]."""
    sizes = np.diff([*range(0, n_prompts, BLOCK), n_prompts])
    draws = np.random.default_rng(seed).multinomial(n_prompts, sizes / n_prompts, size=n_resamples)
    return np.asarray(draws, dtype=np.int64)


def _require_two(n_prompts: int) -> None:
    if n_prompts < 2:
        raise ValueError(f"An interval over prompts needs at least 2 prompts, got {n_prompts}. Give more prompts.")
