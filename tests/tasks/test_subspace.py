from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.tasks import ConditionNumber, Covariance, Isotropic, LinearRegression, Prompts
from interp.tasks.subspace import subspace_maps
from tests.errors import raises_exactly
from tests.tasks.means import SIGMAS, assert_mean

TASK = LinearRegression(dim=6, n_points=9, inputs="gaussian", subspace=3)
COVARIANCES: list[Covariance] = [Isotropic(), ConditionNumber(value=9.0)]


def ranks(xs: torch.Tensor) -> list[int]:
    """Of each prompt's inputs; float32 leaves about 1e-7 of them outside their subspace."""
    return torch.linalg.matrix_rank(xs.double(), rtol=1e-5).tolist()


@given(dim=st.integers(1, 7), data=st.data(), covariance=st.sampled_from(COVARIANCES), seed=st.integers(0, 100))
def test_inputs_old_and_new_span_a_subspace_of_the_given_size(dim, data, covariance, seed):
    size = data.draw(st.integers(1, dim))
    task = LinearRegression(dim=dim, n_points=12, inputs="gaussian", covariance=covariance, subspace=size)
    prompts = task.sample(3, seed=seed)
    assert ranks(prompts.xs) == [size] * 3
    asked = task.requery(prompts, 12, seed=seed)
    assert ranks(asked.xs[:, 11:]) == [size] * 3
    assert ranks(asked.xs) == [size] * 3  # context and new queries together: the same subspace


def test_every_prompt_has_a_subspace_of_its_own():
    prompts = TASK.sample(2)
    assert ranks(prompts.xs.reshape(1, -1, 6)) == [6]


def test_maps_are_projections_up_to_a_scale_that_keeps_the_norm():
    maps = subspace_maps(3, 6, n_prompts=20, seed=0).double()
    assert_close(maps, maps.mT)
    assert_close(maps @ maps, 2**0.5 * maps, rtol=0, atol=1e-6)
    assert_close(maps.square().sum((1, 2)), torch.full((20,), 6.0).double())


def test_subspaces_favour_no_direction():
    maps = subspace_maps(3, 6, n_prompts=4000, seed=0).double()
    squares = maps @ maps
    error = squares.std(0) / len(maps) ** 0.5
    assert ((squares.mean(0) - torch.eye(6)).abs() < SIGMAS * error).all()


def test_the_mean_square_of_inputs_and_targets_is_that_of_the_whole_space():
    prompts = TASK.sample(20_000)
    assert_mean(prompts.xs[:, -1].square().mean(-1), 1.0)
    assert_mean(prompts.ys[:, -1].square(), 6.0)


def test_inputs_are_the_projections_of_the_plain_ones():
    inside, plain = (task.sample(5, seed=2) for task in (TASK, replace(TASK, subspace=0)))
    assert inside.input_map is not None
    assert_close(inside.xs, plain.xs @ inside.input_map)
    assert inside.w is not None
    assert plain.w is not None
    assert torch.equal(inside.w, plain.w)


def test_new_queries_need_the_subspace():
    prompts = TASK.sample(3)
    with raises_exactly(
        ValueError,
        "New queries must lie in the subspace of their context, and these prompts do not say (`input_map` is None). "
        "Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        TASK.requery(Prompts(xs=prompts.xs, ys=prompts.ys, w=prompts.w), n_queries=2)


@pytest.mark.parametrize("subspace", [-1, 7])
def test_a_subspace_is_no_larger_than_the_space(subspace):
    with raises_exactly(ValueError, f"`subspace` must lie in 1..6 (dim), or be 0 for no projection; got {subspace}."):
        replace(TASK, subspace=subspace)


def test_examples_cannot_lie_in_an_orthant_and_in_a_subspace():
    with raises_exactly(
        ValueError, "`orthants` would move the examples out of their subspace (subspace=3); use one of the two."
    ):
        replace(TASK, orthants=True)
