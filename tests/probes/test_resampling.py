"""Bootstrap means of prompts that come in batches, with weights that are drawn block by block."""

from collections.abc import Hashable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probes import (
    NamedSums,
    ResampledMeans,
    ResampledSums,
    bootstrap_mean,
    resampled_means,
    resampling,
    resampling_weights,
)
from tests.errors import raises_exactly

SMALL_BLOCK = 8


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few prompts, so that few prompts fill many."""
    caches = (resampling.resampling_weights, resampling._block, resampling._draws_by_block)
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr(resampling, "BLOCK", SMALL_BLOCK)
    monkeypatch.setattr(resampling, "PENDING", 5)
    yield
    for cached in caches:
        cached.cache_clear()


def counts_of(n_prompts: int, n_resamples: int = 1000) -> np.ndarray:
    return np.round(resampling_weights(n_prompts, n_resamples) * n_prompts).astype(int)


@pytest.mark.parametrize("n_prompts", [2, 300, resampling.BLOCK])
def test_prompts_that_fit_into_a_block_are_drawn_at_once(n_prompts):
    counts = np.random.default_rng(0).multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=1000)
    assert np.array_equal(resampling_weights(n_prompts), counts / n_prompts)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("n_prompts", [9, 16, 20, 41])
def test_a_resample_has_as_many_draws_as_prompts_however_many_blocks_they_fill(n_prompts):
    counts = counts_of(n_prompts)
    assert counts.shape == (1000, n_prompts)
    assert (counts >= 0).all()
    assert (counts.sum(1) == n_prompts).all()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", [0, 7])
def test_no_two_blocks_share_their_random_numbers_nor_those_of_the_draws_by_block(monkeypatch, seed):
    states, real = [], np.random.default_rng

    def recorded(given):
        states.append(tuple(np.random.SeedSequence(given).generate_state(4)))
        return real(given)

    monkeypatch.setattr(np.random, "default_rng", recorded)
    resampling_weights(3 * SMALL_BLOCK, seed=seed)
    assert len(states) == len(set(states)) == 4


@pytest.mark.usefixtures("small_blocks")
def test_draws_in_blocks_have_the_moments_of_a_multinomial():
    """Mean 1, variance 1 - 1/n, covariance -1/n: within a block, across blocks and in the last, shorter one."""
    n, n_resamples = 20, 20_000
    counts = counts_of(n, n_resamples)
    covariance = np.cov(counts.T)
    assert_allclose(counts.mean(0), 1, atol=5 / n_resamples**0.5)
    expected = np.eye(n) - 1 / n
    assert_allclose(covariance, expected, atol=0.06)  # the variance of a count has a standard error of 0.01
    between = covariance[:SMALL_BLOCK, SMALL_BLOCK : 2 * SMALL_BLOCK]
    assert between.mean() == pytest.approx(-1 / n, abs=0.01)  # 0 if blocks had a fixed number of draws each


@pytest.mark.usefixtures("small_blocks")
def test_draws_in_blocks_have_the_law_of_a_poisson_count_where_there_are_many_prompts():
    counts = counts_of(41, 4000)
    share = np.bincount(counts.ravel(), minlength=3)[:3] / counts.size
    binomial = [(40 / 41) ** 41, (40 / 41) ** 40, 41 * 40 / 2 / 41**2 * (40 / 41) ** 39]
    assert_allclose(share, binomial, atol=0.005)


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_prompts=st.integers(2, 40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_any_split_into_batches_gives_the_means_of_explicit_weights(n_prompts, cuts):
    values = np.random.default_rng(n_prompts).normal(size=(n_prompts, 2, 3))
    sums = ResampledSums(n_prompts)
    for start, stop in pairwise([0, *sorted(min(cut, n_prompts) for cut in cuts), n_prompts]):
        if stop > start:
            sums.add(values[start:stop])
    means = sums.means()
    assert_allclose(means.mean, values.mean(0), atol=1e-12)
    expected = np.einsum("rp,pij->rij", resampling_weights(n_prompts), values)
    assert_allclose(means.resampled, expected, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_quantities_keep_their_names_and_shapes():
    rng = np.random.default_rng(0)
    values: dict[Hashable, np.ndarray] = {"a": rng.normal(size=(13, 2, 3)), ("b", 1): rng.normal(size=13)}
    sums = NamedSums(13)
    for part in (slice(0, 6), slice(6, 13)):
        sums.add({name: array[part] for name, array in values.items()})
    for name, found in sums.means().items():
        alone = resampled_means(values[name])
        assert_allclose(found.mean, alone.mean, atol=1e-14)
        assert_allclose(found.resampled, alone.resampled, atol=1e-14)


def test_some_of_the_means_are_the_means_of_some():
    values = np.random.default_rng(0).normal(size=(10, 3, 4))
    some = resampled_means(values)[[0, 2], [1, 3]]
    assert isinstance(some, ResampledMeans)
    assert_allclose(some.resampled, resampled_means(values[:, [0, 2], [1, 3]]).resampled)


def test_intervals_of_many_prompts_cover_the_truth():
    """More prompts than a block holds, and the width that the central limit theorem gives."""
    n = 3 * resampling.BLOCK + 17
    values = np.random.default_rng(0).normal(2.0, 3.0, size=n)
    interval = bootstrap_mean(values)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 3.0 / n**0.5, rel=0.1)
    assert interval.low < 2.0 < interval.high


def test_too_few_and_too_many_prompts_are_refused():
    with raises_exactly(ValueError, "An interval over prompts needs at least 2 prompts, got 1. Give more prompts."):
        ResampledSums(1)
    sums = ResampledSums(4)
    sums.add(np.zeros(3))
    with raises_exactly(ValueError, "Expected 4 prompts, got 3 of them; add the others first."):
        sums.means()
    with raises_exactly(ValueError, "Expected 4 prompts, got 5 of them; announce as many as come."):
        sums.add(np.zeros(2))
