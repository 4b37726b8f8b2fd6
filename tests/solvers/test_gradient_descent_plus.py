from functools import partial

import pytest
import torch
from torch.testing import assert_close

from interp.solvers import GradientDescent, GradientDescentPlus, Status
from tests.errors import raises_exactly
from tests.solvers import explicit


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 6])
def test_it_is_the_explicit_transformation_of_inputs_targets_and_query(xs, ys, steps):
    trace = GradientDescentPlus(lr=0.05, gamma=0.02).run(xs, ys, [steps])
    expected = explicit.every_prefix(
        xs, ys, lambda X, y: explicit.gradient_descent_plus(X, y, lr=[0.05] * steps, gamma=[0.02] * steps)
    )
    assert_close(trace.weights[0], expected, rtol=1e-10, atol=1e-12)
    assert_close(trace.predictions[0], explicit.predictions_of(expected, xs), rtol=1e-10, atol=1e-12)


def test_every_step_may_have_its_own_step_size_and_gamma(xs, ys):
    lr, gamma = (0.02, 0.08, -0.01, 0.05), (0.03, 0.0, 0.01, -0.02)
    trace = GradientDescentPlus(lr=lr, gamma=gamma).run(xs, ys, [1, 2, 3, 4])
    for i, steps in enumerate([1, 2, 3, 4]):
        expected = explicit.every_prefix(
            xs, ys, partial(explicit.gradient_descent_plus, lr=lr[:steps], gamma=gamma[:steps])
        )
        assert_close(trace.weights[i], expected, rtol=1e-10, atol=1e-12)


def test_one_number_stands_for_one_per_step(xs, ys):
    shared = GradientDescentPlus(lr=0.04, gamma=0.01).run(xs, ys, [3])
    for solver in (
        GradientDescentPlus(lr=(0.04,) * 3, gamma=0.01),
        GradientDescentPlus(lr=0.04, gamma=(0.01,) * 3),
        GradientDescentPlus(lr=(0.04,) * 3, gamma=(0.01,) * 3),
    ):
        assert_close(solver.run(xs, ys, [3]).weights, shared.weights)


def test_without_gamma_it_is_gradient_descent(xs, ys):
    steps = [0, 1, 2, 5, 20]
    plain = GradientDescent(lr=0.05, normalize="sum").run(xs, ys, steps)
    assert_close(GradientDescentPlus(lr=0.05, gamma=0.0).run(xs, ys, steps).weights, plain.weights)


def test_its_first_step_is_gradient_descents_whatever_gamma(xs, ys):
    plain = GradientDescent(lr=0.05, normalize="sum").run(xs, ys, [1])
    assert_close(GradientDescentPlus(lr=0.05, gamma=0.4).run(xs, ys, [1]).weights, plain.weights)


def test_the_last_steps_gamma_changes_no_prediction(xs, ys):
    lr = (0.02, 0.08, 0.05)
    one, other = (GradientDescentPlus(lr=lr, gamma=(0.03, 0.01, last)).run(xs, ys, [3]) for last in (0.02, -0.5))
    assert torch.equal(one.predictions, other.predictions)


def test_iterates_that_overflow_to_nan_have_diverged(xs, ys):
    trace = GradientDescentPlus(lr=5.0, gamma=5.0).run(xs, ys, [40])
    assert trace.predictions.isnan().any()
    assert trace.status is Status.DIVERGED


def test_step_sizes_and_gammas_must_be_as_many():
    with raises_exactly(ValueError, "`lr` and `gamma` must cover the same number of steps, got [2, 3]."):
        GradientDescentPlus(lr=(0.1, 0.1), gamma=(0.1, 0.1, 0.1))


def test_there_must_be_a_step_size_for_every_step(xs, ys):
    with raises_exactly(
        ValueError,
        "gd++ was given 2 values of `lr`, one per step, and asked for 3 steps; "
        "give as many values as steps, or one number for all.",
    ):
        GradientDescentPlus(lr=(0.1, 0.1)).run(xs, ys, [3])
