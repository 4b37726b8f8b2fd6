from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import GradientDescent, GradientFlow, Status
from tests.solvers import explicit


@pytest.mark.parametrize("normalize", ["mean", "sum"])
@pytest.mark.parametrize("steps", [0, 1, 4, 60])
def test_it_solves_the_differential_equation_at_every_prefix(xs, ys, normalize, steps):
    trace = GradientFlow(lr=0.05, normalize=normalize).run(xs, ys, [steps])
    expected = explicit.every_prefix(xs, ys, partial(explicit.gradient_flow, time=0.05 * steps, normalize=normalize))
    assert_close(trace.weights[0], expected, rtol=1e-9, atol=1e-11)
    assert_close(trace.predictions[0], explicit.predictions_of(expected, xs), rtol=1e-9, atol=1e-11)


def test_it_is_the_limit_of_gradient_descent_with_ever_smaller_steps_of_first_order(xs, ys):
    """Euler's scheme: ten times as many steps of a tenth the size come ten times as close."""
    flow = GradientFlow(lr=0.3).run(xs, ys, [1]).weights
    errors = [(GradientDescent(lr=0.3 / n).run(xs, ys, [n]).weights - flow).norm().item() for n in (100, 1000, 10_000)]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.005)


@given(split=st.integers(0, 12), lr=st.floats(1e-6, 10))
def test_time_is_what_counts_not_the_number_of_steps(split, lr):
    generator = torch.Generator().manual_seed(split)
    xs = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    ys = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    at_once = GradientFlow(lr=12 * lr).run(xs, ys, [split]).weights
    in_pieces = GradientFlow(lr=lr).run(xs, ys, [12 * split]).weights
    assert_close(at_once, in_pieces, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("lr", [1e-9, 1e-12])
def test_tiny_times_keep_their_digits(xs, ys, lr):
    weights = GradientFlow(lr=lr, normalize="sum").run(xs, ys, [2]).weights[0, :, -1]
    b = torch.einsum("ptd,pt->pd", xs[:, :-1], ys[:, :-1])
    assert_close(weights, 2 * lr * b, rtol=1e-6 if lr > 1e-10 else 1e-9, atol=0)


def test_no_step_is_too_long(xs, ys):
    trace = GradientFlow(lr=1e6).run(xs, ys, [1000])
    assert_close(trace.weights[0], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-8, atol=1e-10)
    assert trace.status is Status.CONVERGED
    assert GradientFlow(lr=0.1).run(xs, ys, [3]).status is Status.RUNNING
