"""What networks and trees have in common."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from interp.tasks import DecisionTrees, LinearRegression, Prompts, ReluNetworks, SineWaves, Task
from tests.errors import raises_exactly

NETWORKS = ReluNetworks(dim=3, n_points=6, hidden=7)
TREES = DecisionTrees(dim=3, n_points=6, depth=2)

both = pytest.mark.parametrize("task", [NETWORKS, TREES], ids=["networks", "trees"])


def function_of(prompts: Prompts) -> torch.Tensor:
    assert prompts.function is not None
    return prompts.function


@both
def test_they_follow_the_protocol_without_hidden_weights(task):
    prompts = task.sample(4, n_queries=2)
    assert (prompts.xs.shape, prompts.n_queries, prompts.n_examples) == ((4, 7, 3), 2, 5)
    assert prompts.w is prompts.input_map is None
    assert prompts.xs.dtype == prompts.ys.dtype == function_of(prompts).dtype == torch.float32
    assert function_of(prompts).shape == (4, task.n_parameters)
    assert isinstance(task, Task)


@both
def test_the_same_arguments_give_the_same_prompts_bit_for_bit(task):
    first, second, other = (task.sample(5, seed=seed, n_queries=2) for seed in (3, 3, 4))
    for name in ("xs", "ys", "function"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


@both
def test_inputs_are_those_of_a_gaussian_linear_regression(task):
    linear = LinearRegression(dim=3, n_points=6, inputs="gaussian")
    assert torch.equal(task.sample(5, seed=3).xs, linear.sample(5, seed=3).xs)


@both
def test_targets_old_and_new_are_the_prompts_function_at_the_inputs(task):
    prompts = task.sample(5, seed=3, n_queries=2)
    asked = task.requery(prompts, n_queries=9, seed=7)
    assert (asked.n_queries, asked.n_examples) == (9, 5)
    for name in ("xs", "ys"):
        assert torch.equal(getattr(asked, name)[:, :5], getattr(prompts, name)[:, :5])
    assert torch.equal(function_of(asked), function_of(prompts))
    for each in (prompts, asked):
        assert_close(each.ys, task.evaluate(function_of(each), each.xs))
    assert not torch.isclose(asked.xs[:, 5:], task.requery(prompts, 9, seed=8).xs[:, 5:]).any()
    assert not torch.isin(asked.xs[:, 5:], prompts.xs).any()


@both
def test_every_prompt_has_a_function_of_its_own(task):
    prompts = task.sample(2, seed=1)
    same = torch.randn(1, 200, 3).expand(2, -1, -1)
    one, other = task.evaluate(function_of(prompts), same)
    assert not torch.isclose(one, other).all()


@both
def test_new_queries_of_chosen_prompts_and_of_single_queries_follow_their_own_function(task):
    prompts = task.sample(6, seed=0, n_queries=3)
    asked = task.requery(prompts[torch.tensor([4, 1])].one_query_each(), 5, seed=1)
    assert torch.equal(function_of(asked), function_of(prompts)[[4, 4, 4, 1, 1, 1]])
    assert_close(asked.ys, task.evaluate(function_of(asked), asked.xs))


@both
def test_new_queries_of_double_precision_prompts_stay_in_double_precision(task):
    asked = task.requery(task.sample(4).to(dtype=torch.float64), n_queries=3)
    assert asked.xs.dtype == asked.ys.dtype == torch.float64
    assert torch.equal(asked.ys[:, -3:], task.evaluate(function_of(asked), asked.xs)[:, -3:])


@both
def test_new_queries_need_a_function_of_the_task(task):
    prompts, name = task.sample(3), type(task).__name__
    start = (
        f"New queries are answered by the prompts' functions, for {name} numbers of shape (3, {task.n_parameters}), "
    )
    end = "Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
    with raises_exactly(ValueError, f"{start}and these prompts have none (`function` is None). {end}"):
        task.requery(Prompts(xs=prompts.xs, ys=prompts.ys), n_queries=2)
    with raises_exactly(ValueError, f"{start}and these prompts have shape (3, 2). {end}"):
        task.requery(SineWaves(n_points=6).sample(3), n_queries=2)


@both
@pytest.mark.parametrize("field", ["dim", "n_points"])
def test_sizes_below_1_are_refused(task, field):
    with raises_exactly(ValueError, f"`{field}` must be at least 1, got 0."):
        replace(task, **{field: 0})


@both
def test_a_sample_has_at_least_one_prompt_and_one_query(task):
    for counts in ((0, 1), (1, 0)):
        with raises_exactly(ValueError, f"Ask for at least one prompt and one query, got {counts[0]} and {counts[1]}."):
            task.sample(counts[0], n_queries=counts[1])
