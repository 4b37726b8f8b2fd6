"""Heavy ball and Nesterov's accelerated gradient."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import GradientDescent, HeavyBall, Nesterov, Status
from tests.solvers import explicit

STEPS = [0, 1, 2, 7, 30]
BOTH = pytest.mark.parametrize("solver", [HeavyBall, Nesterov], ids=["heavy-ball", "nesterov"])


@pytest.mark.parametrize(
    ("solver", "iterate"), [(HeavyBall, explicit.heavy_ball), (Nesterov, explicit.nesterov)], ids=["heavy", "nesterov"]
)
@pytest.mark.parametrize("momentum", [0.0, 0.4, 0.9, -0.3])
def test_it_is_the_explicit_iteration_at_every_prefix(xs, ys, solver, iterate, momentum):
    trace = solver(lr=0.03, momentum=momentum, normalize="sum").run(xs, ys, STEPS)
    for i, steps in enumerate(STEPS):
        expected = explicit.every_prefix(xs, ys, partial(iterate, lr=0.03, momentum=momentum, steps=steps))
        assert_close(trace.weights[i], expected, rtol=1e-8, atol=1e-10)
        assert_close(trace.predictions[i], explicit.predictions_of(expected, xs), rtol=1e-8, atol=1e-10)


@BOTH
def test_mean_is_sum_with_the_step_divided_by_the_length_of_the_prefix(xs, ys, solver):
    mean = solver(lr=0.3, momentum=0.5).run(xs, ys, [4]).weights[0]
    for t in range(1, xs.shape[1]):
        total = solver(lr=0.3 / t, momentum=0.5, normalize="sum").run(xs, ys, [4]).weights[0]
        assert_close(mean[:, t], total[:, t])


@BOTH
@pytest.mark.parametrize("normalize", ["mean", "sum"])
@given(lr=st.floats(1e-5, 0.1), seed=st.integers(0, 10_000))
def test_without_momentum_it_is_gradient_descent(solver, normalize, lr, seed):
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    ys = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    ours = solver(lr=lr, momentum=0.0, normalize=normalize).run(xs, ys, STEPS).weights
    plain = GradientDescent(lr=lr, normalize=normalize).run(xs, ys, STEPS).weights
    assert_close(ours, plain, rtol=1e-9, atol=1e-11 * plain.abs().max().item())


@BOTH
def test_its_first_step_is_gradient_descents_whatever_the_momentum(xs, ys, solver):
    plain = GradientDescent(lr=0.2).run(xs, ys, [1])
    assert_close(solver(lr=0.2, momentum=0.7).run(xs, ys, [1]).weights, plain.weights)


@BOTH
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_it_diverges_exactly_beyond_its_edge_of_stability(xs, ys, solver, momentum):
    edge = 2 * (1 + momentum) if solver is HeavyBall else 2 * (1 + momentum) / (1 + 2 * momentum)
    top = torch.linalg.eigvalsh(xs[:, :-1].mT @ xs[:, :-1]).max().item()
    within, beyond = (
        solver(lr=share * edge / top, momentum=momentum, normalize="sum").run(xs, ys, [4000]) for share in (0.99, 1.01)
    )
    assert within.status is Status.CONVERGED or within.status is Status.RUNNING
    assert beyond.status is Status.DIVERGED


def test_polyaks_parameters_converge_at_the_rate_of_the_root_of_the_condition_number():
    """The error after k steps is at most of order k ((root kappa - 1) / (root kappa + 1))^k, gd's far above that."""
    low, high = 1.0, 100.0
    xs = torch.cat([torch.diag(torch.tensor([low, 7.0, 40.0, high]).sqrt()), torch.ones(1, 4)])[None].double()
    ys = torch.tensor([[1.0, -1.0, 2.0, 3.0, 0.0]], dtype=torch.float64)
    rate = (10 - 1) / (10 + 1)
    ball = HeavyBall(lr=4 / (1 + 10) ** 2, momentum=rate**2, normalize="sum").run(xs, ys, [50, 100]).weights[:, 0, -1]
    plain = GradientDescent(lr=2 / (low + high), normalize="sum").run(xs, ys, [100]).weights[0, 0, -1]
    solution = explicit.least_squares(xs[0, :4], ys[0, :4])
    share = [((w - solution).norm() / solution.norm()).item() for w in (*ball, plain)]
    assert share[0] < 2 * 50 * rate**50
    assert share[1] < 2 * 100 * rate**100
    assert share[2] > 0.1


def test_at_equal_parameters_nesterov_brakes_where_the_heavy_ball_overshoots():
    """One direction, with lr on its edge: Nesterov's looks ahead and stops dead, the heavy ball swings."""
    xs, ys = torch.ones(1, 2, 1), torch.ones(1, 2)
    steps = list(range(2, 12))
    ball, ahead = (
        solver(lr=1.0, momentum=0.5, normalize="sum").run(xs, ys, steps).predictions[:, 0, 1] - 1
        for solver in (HeavyBall, Nesterov)
    )
    assert_close(ahead, torch.zeros_like(ahead), rtol=0, atol=1e-12)
    assert ball.abs().max() > 0.2
