from dataclasses import replace

import torch
from torch.testing import assert_close

from interp.solvers import Regressions, make_solver
from interp.tasks import ConditionNumber, Eigenvalues, LinearRegression, garg_shifts
from tests.tasks.means import assert_mean

TASK = LinearRegression(dim=6, n_points=13, inputs="gaussian", input_scale=2.0, weight_scale=3.0)
SHIFTS = garg_shifts(TASK)


def ols_loss(task: LinearRegression, n_prompts: int = 500) -> torch.Tensor:
    """Squared errors of least squares at the query [prompt]."""
    problems = Regressions.of(task.sample(n_prompts))
    errors = make_solver("ols").predict(problems, [1])[0] - problems.targets
    return errors[:, 0].square()


def test_each_shift_changes_what_its_name_says():
    assert SHIFTS["standard"] == TASK
    assert SHIFTS["half subspace"] == replace(TASK, subspace=3)
    assert SHIFTS["different orthants"] == replace(TASK, orthants=True)
    assert SHIFTS["input scale 1/2"] == replace(TASK, input_scale=1.0)
    assert SHIFTS["weight scale 3"] == replace(TASK, weight_scale=9.0)
    assert SHIFTS["noisy output"] == replace(TASK, noise_std=1.0)
    assert SHIFTS["query equals an example"] == replace(TASK, query="example")
    assert SHIFTS["orthogonal query"] == replace(TASK, query="orthogonal", n_points=6)
    assert len(SHIFTS) == len(set(SHIFTS.values())) == 15


def test_skewed_eigenvalues_fall_as_the_square_and_add_up_to_dim():
    covariance = SHIFTS["skewed covariance"].covariance
    assert isinstance(covariance, Eigenvalues)
    values = torch.tensor(covariance.values)
    assert_close(values[0] / values, torch.arange(1, 7.0) ** 2)
    assert_close(values.sum(), torch.tensor(6.0))
    assert covariance.rotation == "prompt"


def test_the_shifts_of_inputs_keep_their_mean_square():
    for name in ("standard", "skewed covariance", "half subspace", "different orthants", "orthogonal query"):
        prompts = SHIFTS[name].sample(4000)
        assert_mean(prompts.xs[:, -1].square().mean(-1), 4.0)


def test_least_squares_is_exact_where_examples_span_the_query_and_answers_0_where_it_is_orthogonal():
    variance = 9.0 * 4.0 * 6  # of the targets
    for name, task in SHIFTS.items():
        losses = ols_loss(task)
        if name not in ("orthogonal query", "noisy output"):
            # Rounding to float32, made worse by few examples beyond dim.
            assert losses.median() < 1e-8 * variance, name
    assert_mean(ols_loss(SHIFTS["orthogonal query"], 4000), variance)


def test_the_shifts_of_a_shifted_task_are_those_of_the_task():
    found = garg_shifts(replace(TASK, query="example", orthants=True))
    assert found == SHIFTS
    assert garg_shifts(replace(TASK, subspace=2)) == SHIFTS
    kept = garg_shifts(replace(TASK, sparsity=2, covariance=ConditionNumber(value=4.0)))
    assert {task.sparsity for task in kept.values()} == {2}
    assert kept["noisy output"].covariance == ConditionNumber(value=4.0)


def test_what_a_task_has_no_room_for_is_left_out():
    assert set(SHIFTS) - set(garg_shifts(replace(TASK, dim=1))) == {"half subspace", "orthogonal query"}
    assert set(SHIFTS) - set(garg_shifts(replace(TASK, n_points=1))) == {"orthogonal query", "query equals an example"}


def test_an_orthogonal_query_after_fewer_examples_has_no_more_distractors_than_there_are():
    shifted = garg_shifts(replace(TASK, distractors=9))["orthogonal query"]
    assert (shifted.n_points, shifted.distractors) == (6, 5)
