from functools import partial

import pytest
import torch
from torch.testing import assert_close

from interp.solvers import GradientDescent, Status, make_solver
from tests.solvers import explicit

STEPS = [0, 1, 2, 7, 30]


@pytest.mark.parametrize(("normalize", "lr"), [("mean", 0.3), ("sum", 0.05)])
def test_it_is_the_explicit_iteration_at_every_prefix(xs, ys, normalize, lr):
    trace = GradientDescent(lr=lr, normalize=normalize).run(xs, ys, STEPS)
    for i, steps in enumerate(STEPS):
        expected = explicit.every_prefix(
            xs, ys, partial(explicit.gradient_descent, lr=[lr] * steps, normalize=normalize)
        )
        assert_close(trace.weights[i], expected, rtol=1e-9, atol=1e-11)
        assert_close(trace.predictions[i], explicit.predictions_of(expected, xs), rtol=1e-9, atol=1e-11)


def test_mean_is_sum_with_the_step_divided_by_the_length_of_the_prefix(xs, ys):
    mean = make_solver("gd", lr=0.3).run(xs, ys, [4]).weights[0]
    for t in range(1, xs.shape[1]):
        total = make_solver("gd", lr=0.3 / t, normalize="sum").run(xs, ys, [4]).weights[0]
        assert_close(mean[:, t], total[:, t])


@pytest.mark.parametrize("lr", [1e-3, 1e-7, 1e-11])
def test_tiny_steps_keep_their_digits(xs, ys, lr):
    """To first order in a tiny step, k steps move by k lr X^T y: nothing is lost to 1 - (1 - s)^k."""
    moved = GradientDescent(lr=lr, normalize="sum").run(xs, ys, [3]).weights[0, :, -1]
    S, b = xs[:, :-1].mT @ xs[:, :-1], torch.einsum("ptd,pt->pd", xs[:, :-1], ys[:, :-1])
    second_order = 3 * lr * b - 3 * lr**2 * torch.einsum("pij,pj->pi", S, b)
    top = torch.linalg.eigvalsh(S).max()
    assert_close(moved, second_order, rtol=10 * (lr * top).item() ** 2 + 1e-13, atol=0)


def test_many_steps_reach_least_squares(xs, ys):
    trace = GradientDescent(lr=0.1).run(xs, ys, [10**9])
    expected = explicit.every_prefix(xs, ys, explicit.least_squares)
    assert_close(trace.weights[0], expected, rtol=1e-6, atol=1e-8)
    assert trace.status is Status.CONVERGED


def test_few_steps_are_still_running(xs, ys):
    assert GradientDescent(lr=0.1).run(xs, ys, [3]).status is Status.RUNNING


def test_a_step_beyond_the_edge_diverges_without_an_exception(xs, ys):
    trace = GradientDescent(lr=1e3, normalize="sum").run(xs, ys, [1, 100, 10_000])
    assert trace.status is Status.DIVERGED


def test_it_diverges_exactly_where_the_step_times_the_top_eigenvalue_exceeds_2(xs, ys):
    top = torch.linalg.eigvalsh(xs[:, :-1].mT @ xs[:, :-1]).max().item()
    within, beyond = (make_solver("gd", lr=share * 2 / top, normalize="sum") for share in (0.999, 1.001))
    assert within.run(xs, ys, [50]).status is Status.RUNNING
    assert beyond.run(xs, ys, [50]).status is Status.DIVERGED


def test_a_step_at_the_edge_stalls():
    xs, ys = torch.ones(1, 2, 1), torch.ones(1, 2)
    assert GradientDescent(lr=2.0, normalize="sum").run(xs, ys, [9]).status is Status.STALLED


def test_a_run_that_has_not_begun_is_running(xs, ys):
    assert GradientDescent(lr=0.1).run(xs, ys, [0]).status is Status.RUNNING
