"""Examples in one orthant, and queries of other laws than theirs."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.tasks import ConditionNumber, LinearRegression, Prompts
from tests.errors import raises_exactly
from tests.tasks.means import assert_mean

FRESH = LinearRegression(dim=6, n_points=5, inputs="gaussian")
ORTHANTS = replace(FRESH, orthants=True)
ORTHOGONAL = replace(FRESH, query="orthogonal")
EXAMPLE = replace(FRESH, query="example", noise_std=0.5)
TASKS = {"orthants": ORTHANTS, "orthogonal": ORTHOGONAL, "example": EXAMPLE}

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def split(prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of the examples and of the queries."""
    return prompts.xs[:, : prompts.n_examples], prompts.xs[:, prompts.n_examples :]


def cosines(context: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """[prompt example query]."""
    return torch.cosine_similarity(context.double()[:, :, None], queries.double()[:, None], dim=-1)


@every_task
def test_the_same_arguments_give_the_same_prompts_bit_for_bit(task):
    first, second = (task.sample(5, seed=3, n_queries=2) for _ in range(2))
    again, too = (task.requery(first, 4, seed=1) for _ in range(2))
    for name in ("xs", "ys", "w"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert torch.equal(getattr(again, name), getattr(too, name))
    assert not torch.equal(split(again)[1], split(task.requery(first, 4, seed=2))[1])


@every_task
def test_new_queries_keep_the_contexts_and_are_answered_by_the_hidden_weights(task):
    task = replace(task, noise_std=0.0)
    prompts = task.sample(5, seed=3)
    asked = task.requery(prompts, 7, seed=1)
    assert torch.equal(split(asked)[0], split(prompts)[0])
    assert torch.equal(asked.ys[:, :4], prompts.ys[:, :4])
    for each in (prompts, asked):
        assert_close(each.ys, torch.einsum("ptd,pd->pt", each.xs, each.w))


@given(
    dim=st.integers(2, 7),
    data=st.data(),
    scale=st.floats(0.1, 10),
    covariance=st.sampled_from([FRESH.covariance, ConditionNumber(value=100.0)]),
    seed=st.integers(0, 100),
)
def test_orthogonal_queries_are_orthogonal_to_every_example_and_as_long_as_fresh_ones(
    dim, data, scale, covariance, seed
):
    room = data.draw(st.integers(2, dim))
    task = LinearRegression(
        dim=dim,
        n_points=data.draw(st.integers(2, room)),
        inputs="gaussian",
        input_scale=scale,
        covariance=covariance,
        subspace=0 if room == dim else room,
        query="orthogonal",
    )
    fresh_task = replace(task, query="fresh")
    prompts, fresh = (each.sample(4, seed=seed, n_queries=3) for each in (task, fresh_task))
    asked = task.requery(prompts, 5, seed=seed)
    for there, plain in ((prompts, fresh), (asked, fresh_task.requery(prompts, 5, seed=seed))):
        assert cosines(*split(there)).abs().max() < 1e-6  # rounding to float32
        assert_close(split(there)[1].norm(dim=-1), split(plain)[1].norm(dim=-1))
        assert torch.equal(split(there)[0], split(plain)[0])


def test_orthogonal_queries_of_double_precision_prompts_are_exact():
    asked = ORTHOGONAL.requery(ORTHOGONAL.sample(20).to(dtype=torch.float64), 5)
    assert cosines(*split(asked)).abs().max() < 1e-14


def test_orthogonal_queries_favour_no_direction_that_is_left():
    """With one example of dim 2 there are two directions; both are met equally often."""
    task = LinearRegression(dim=2, n_points=2, inputs="gaussian", query="orthogonal")
    context, queries = split(task.sample(4000))
    side = torch.det(torch.cat([context, queries], dim=1)).sign()
    assert_mean(side, 0.0)


@given(n_points=st.integers(2, 6), n_queries=st.integers(1, 5), seed=st.integers(0, 100))
def test_queries_that_are_examples_are_examples_of_the_same_prompt(n_points, n_queries, seed):
    task = replace(EXAMPLE, n_points=n_points)
    prompts = task.sample(3, seed=seed, n_queries=n_queries)
    for asked in (prompts, task.requery(prompts, n_queries, seed=seed)):
        context, queries = split(asked)
        assert (context[:, :, None] == queries[:, None]).all(-1).any(1).all()


def test_every_example_is_asked_about_equally_often():
    context, queries = split(replace(EXAMPLE, n_points=4).sample(6000))
    for index in range(3):
        assert_mean((context[:, index] == queries[:, 0]).all(-1), 1 / 3)


def test_a_repeated_example_has_noise_of_its_own():
    prompts = EXAMPLE.sample(4000)
    context, queries = split(prompts)
    which = (context == queries).all(-1).int().argmax(1)
    difference = prompts.ys[:, -1] - prompts.ys[torch.arange(4000), which]
    assert_mean(difference.square(), 2 * 0.25)


def test_examples_share_the_signs_of_each_coordinate_and_fresh_queries_do_not():
    prompts = ORTHANTS.sample(200, n_queries=8)
    asked = ORTHANTS.requery(prompts, 8, seed=1)
    signs = prompts.xs[:, :4].sign()
    assert torch.equal(signs, signs[:, :1].expand_as(signs))
    assert_mean(signs[:, 0], 0.0)  # the orthant itself is drawn at random
    for each in (prompts, asked):
        agreement = each.xs[:, 4:].sign() * signs[:, :1]
        assert_mean(agreement.mean(1), 0.0)


def test_orthants_change_the_signs_of_examples_alone():
    here, plain = (task.sample(20, seed=2, n_queries=2) for task in (ORTHANTS, FRESH))
    assert torch.equal(here.xs.abs(), plain.xs.abs())
    assert torch.equal(split(here)[1], split(plain)[1])
    assert here.w is not None
    assert plain.w is not None
    assert torch.equal(here.w, plain.w)
    assert (here.xs != plain.xs).any()


@pytest.mark.parametrize("law", ["orthogonal", "example"])
def test_a_law_of_queries_leaves_examples_and_weights_as_they_were(law):
    task = replace(FRESH, noise_std=0.5)
    here, plain = (each.sample(20, seed=2) for each in (replace(task, query=law), task))
    assert torch.equal(here.xs[:, :-1], plain.xs[:, :-1])
    assert torch.equal(here.ys[:, :-1], plain.ys[:, :-1])
    assert here.w is not None
    assert plain.w is not None
    assert torch.equal(here.w, plain.w)


def test_as_many_examples_as_dimensions_leave_nothing_orthogonal():
    def says(n_examples: int, room: int) -> str:
        return (
            f"query='orthogonal' needs a direction that no example has, and {n_examples} examples span all {room} "
            f"dimensions of the inputs; use n_points={room} or less."
        )

    with raises_exactly(ValueError, says(6, 6)):
        replace(ORTHOGONAL, n_points=7)
    with raises_exactly(ValueError, says(4, 3)):
        replace(ORTHOGONAL, subspace=3)
    with raises_exactly(ValueError, says(6, 6)):
        ORTHOGONAL.requery(replace(FRESH, n_points=7).sample(3), 2)


def test_without_examples_no_query_is_one_of_them():
    message = "query='example' asks about one of the examples, and there are none; use n_points=2 or more."
    with raises_exactly(ValueError, message):
        replace(EXAMPLE, n_points=1)
    with raises_exactly(ValueError, message):
        EXAMPLE.requery(replace(FRESH, n_points=1).sample(3), 2)
