from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly
from tests.tasks.means import SIGMAS, assert_mean

TASK = LinearRegression(dim=6, n_points=4, inputs="gaussian", weight_scale=2.0, sparsity=2)


def weights_of(prompts: Prompts) -> torch.Tensor:
    assert prompts.w is not None
    return prompts.w


@given(dim=st.integers(1, 8), data=st.data(), seed=st.integers(0, 100))
def test_exactly_the_asked_number_of_weights_stay_and_they_are_those_of_the_dense_task(dim, data, seed):
    count = data.draw(st.integers(1, dim))
    task = LinearRegression(dim=dim, sparsity=count)
    sparse, dense = (each.sample(5, seed=seed) for each in (task, replace(task, sparsity=0)))
    kept = weights_of(sparse) != 0
    assert kept.sum(1).tolist() == [count] * 5
    assert torch.equal(weights_of(sparse)[kept], weights_of(dense)[kept])
    assert torch.equal(sparse.xs, dense.xs)
    assert_close(sparse.ys, torch.einsum("ptd,pd->pt", sparse.xs, weights_of(sparse)))


def test_every_place_is_kept_equally_often_and_its_law_is_as_it_was():
    w = weights_of(TASK.sample(4000))
    assert_close(
        (w != 0).double().mean(0), torch.full((6,), 1 / 3).double(), rtol=0, atol=SIGMAS * (2 / 9 / 4000) ** 0.5
    )
    assert_mean(w[w != 0], 0.0)
    assert_mean(w[w != 0].square(), 4.0)


def test_the_mean_square_of_targets_is_the_number_of_weights_times_their_variance():
    assert_mean(TASK.sample(20_000).ys[:, -1].square(), 2 * 4.0)


def test_fewer_places_are_among_more_and_another_seed_has_others():
    fewer, more, other = (
        weights_of(replace(TASK, sparsity=count).sample(50, seed=seed)) != 0 for count, seed in ((2, 0), (4, 0), (2, 1))
    )
    assert (fewer <= more).all()
    assert not torch.equal(fewer, other)


def test_new_queries_are_answered_by_the_sparse_weights():
    asked = TASK.requery(TASK.sample(10), 5, seed=1)
    assert_close(asked.ys, torch.einsum("ptd,pd->pt", asked.xs, weights_of(asked)))
    assert ((weights_of(asked) != 0).sum(1) == 2).all()


@pytest.mark.parametrize("sparsity", [-1, 7])
def test_there_are_no_more_weights_than_coordinates(sparsity):
    with raises_exactly(ValueError, f"`sparsity` must lie in 1..6 (dim), or be 0 for dense weights; got {sparsity}."):
        replace(TASK, sparsity=sparsity)
