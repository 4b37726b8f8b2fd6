from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from interp.tasks import ConditionNumber, Eigenvalues, LinearRegression, Prompts, Task
from tests.errors import raises_exactly

TASKS = {
    "uniform": LinearRegression(dim=4, n_points=7),
    "gaussian": LinearRegression(dim=4, n_points=7, inputs="gaussian", input_scale=2.0, weight_scale=3.0),
    "noisy": LinearRegression(dim=4, n_points=7, noise_std=0.5),
    "rotated": LinearRegression(dim=4, n_points=7, covariance=ConditionNumber(value=9.0)),
    "fixed": LinearRegression(dim=4, n_points=7, covariance=Eigenvalues(values=(4.0, 2.0, 1.0, 0.5), rotation="fixed")),
}
SIGMAS = 5
"""Sampling errors that a mean may be off: one in two million by chance, and the seeds are fixed."""

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def assert_mean(values: torch.Tensor, expected: float) -> None:
    """The mean of independent values is within sampling error of what is expected."""
    values = values.double().flatten()
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - expected) < SIGMAS * error


@every_task
def test_the_same_arguments_give_the_same_prompts_bit_for_bit(task):
    first, second = (task.sample(5, seed=3, n_queries=2) for _ in range(2))
    for name in ("xs", "ys", "w"):
        assert torch.equal(getattr(first, name), getattr(second, name))


@every_task
def test_another_seed_gives_other_inputs_weights_and_targets(task):
    first, second = task.sample(5, seed=3), task.sample(5, seed=4)
    for name in ("xs", "ys", "w"):
        assert not torch.isclose(getattr(first, name), getattr(second, name)).any()


@every_task
def test_targets_are_linear_in_the_inputs_up_to_the_noise(task):
    prompts = task.sample(1000, seed=0)
    residual = prompts.ys - torch.einsum("ptd,pd->pt", prompts.xs, prompts.w)
    if task.noise_std == 0:
        assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-5)
    else:
        assert_mean(residual, 0.0)
        assert_mean(residual.square(), task.noise_std**2)


def test_noise_leaves_inputs_and_weights_untouched():
    clean, noisy = (TASKS[name].sample(6, seed=2) for name in ("uniform", "noisy"))
    assert torch.equal(clean.xs, noisy.xs)
    assert clean.w is not None
    assert noisy.w is not None
    assert torch.equal(clean.w, noisy.w)
    assert not torch.isclose(clean.ys, noisy.ys).any()


def test_the_query_is_as_noisy_as_the_examples():
    prompts = TASKS["noisy"].sample(4000, seed=1)
    residual = prompts.ys[:, -1] - torch.einsum("pd,pd->p", prompts.xs[:, -1], prompts.w)
    assert_mean(residual.square(), 0.25)


def test_weights_are_normal_with_the_given_scale():
    w = TASKS["gaussian"].sample(4000, seed=0).w
    assert w is not None
    assert_mean(w, 0.0)
    assert_mean(w.square(), 9.0)
    assert_mean(w**4, 3 * 9.0**2)


def test_uniform_inputs_fill_the_unit_cube_with_variance_one_twelfth():
    xs = LinearRegression().sample(2000, seed=0).xs
    assert -0.5 <= xs.min() < -0.4999
    assert 0.4999 < xs.max() <= 0.5
    assert_mean(xs, 0.0)
    assert_mean(xs.square(), 1 / 12)


def test_the_loss_of_predicting_0_is_five_twelfths():
    prompts = LinearRegression(dim=10).sample(20_000, seed=0)
    assert_mean(0.5 * prompts.ys[:, -1].square(), 5 / 12)


@every_task
def test_the_stated_input_variance_is_that_of_the_samples(task):
    assert_mean(task.sample(4000, seed=0).xs.square().mean(dim=(1, 2)), task.input_variance)


def test_every_task_follows_the_protocol():
    assert all(isinstance(task, Task) for task in TASKS.values())


@every_task
def test_new_queries_keep_the_contexts_and_the_hidden_weights(task):
    prompts = task.sample(5, seed=3)
    asked = task.requery(prompts, n_queries=8, seed=7)
    assert (asked.n_queries, asked.n_examples) == (8, prompts.n_examples)
    assert torch.equal(asked.xs[:, : asked.n_examples], prompts.xs[:, : prompts.n_examples])
    assert torch.equal(asked.ys[:, : asked.n_examples], prompts.ys[:, : prompts.n_examples])
    assert torch.equal(asked.w, prompts.w)


@every_task
def test_new_queries_are_new_and_a_function_of_the_seed(task):
    prompts = task.sample(5, seed=3)
    asked, again, other = (task.requery(prompts, 8, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(asked.xs, again.xs)
    assert torch.equal(asked.ys, again.ys)
    n = prompts.n_examples
    assert not torch.isclose(asked.xs[:, n:], other.xs[:, n:]).any()
    distances = torch.cdist(asked.xs[:, n:].flatten(0, 1), prompts.xs.flatten(0, 1))
    assert distances.min() > 1e-3


def test_new_queries_follow_the_law_of_their_own_prompt():
    task = LinearRegression(dim=3, n_points=4, covariance=ConditionNumber(value=100.0))
    asked = task.requery(task.sample(200, seed=0), n_queries=50, seed=1)
    cube = asked.xs[:, asked.n_examples :] @ torch.linalg.inv(asked.input_map)
    assert cube.abs().max() <= 0.5 + 1e-4  # float32 through an inverse of condition 10
    assert_mean(cube.square(), 1 / 12)


def test_new_queries_are_answered_by_the_hidden_weights_with_the_tasks_noise():
    task = TASKS["noisy"]
    asked = task.requery(task.sample(500, seed=0), n_queries=20, seed=0)
    residual = (asked.ys - torch.einsum("ptd,pd->pt", asked.xs, asked.w))[:, asked.n_examples :]
    assert_mean(residual.square(), 0.25)


def test_new_queries_of_double_precision_prompts_stay_exact():
    task = TASKS["uniform"]
    asked = task.requery(task.sample(4).to(dtype=torch.float64), n_queries=3)
    exact = torch.einsum("ptd,pd->pt", asked.xs, asked.w)[:, asked.n_examples :]
    assert_close(asked.ys[:, asked.n_examples :], exact, rtol=0, atol=1e-15)


def test_new_queries_need_hidden_weights():
    prompts = TASKS["uniform"].sample(3)
    with raises_exactly(
        ValueError,
        "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
        "Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        TASKS["uniform"].requery(Prompts(xs=prompts.xs, ys=prompts.ys), n_queries=2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dim", 0, "`dim` must be at least 1, got 0."),
        ("n_points", 0, "`n_points` must be at least 1, got 0."),
        ("input_scale", -1.0, "`input_scale` must be finite and not negative, got -1.0."),
        ("weight_scale", float("nan"), "`weight_scale` must be finite and not negative, got nan."),
        ("noise_std", float("inf"), "`noise_std` must be finite and not negative, got inf."),
    ],
)
def test_sizes_below_1_and_scales_below_0_are_refused(field, value, message):
    with raises_exactly(ValueError, message):
        replace(LinearRegression(), **{field: value})


@pytest.mark.parametrize(("n_prompts", "n_queries"), [(0, 1), (1, 0)])
def test_a_sample_has_at_least_one_prompt_and_one_query(n_prompts, n_queries):
    with raises_exactly(ValueError, f"Ask for at least one prompt and one query, got {n_prompts} and {n_queries}."):
        LinearRegression().sample(n_prompts, n_queries=n_queries)
