from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import GradientDescent, OnlineGradientDescent, Regressions, Status
from interp.tasks import Prompts
from tests.solvers import explicit

PASSES = [0, 1, 2, 5]


@pytest.mark.parametrize(("step_size", "lr"), [("fixed", 0.05), ("normalised", 0.7)])
def test_it_is_the_explicit_iteration_at_every_prefix(xs, ys, step_size, lr):
    trace = OnlineGradientDescent(lr=lr, step_size=step_size).run(xs, ys, PASSES)
    for i, passes in enumerate(PASSES):
        expected = explicit.every_prefix(
            xs,
            ys,
            partial(explicit.online_gradient_descent, lr=lr, passes=passes, normalised=step_size == "normalised"),
        )
        assert_close(trace.weights[i], expected, rtol=1e-9, atol=1e-11)
        assert_close(trace.predictions[i], explicit.predictions_of(expected, xs), rtol=1e-9, atol=1e-11)


@given(dim=st.integers(1, 5), n=st.integers(1, 8), passes=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_kaczmarz_solves_the_last_equation_exactly(dim, n, passes, seed):
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(3, n + 1, dim, generator=generator, dtype=torch.float64)
    ys = torch.randn(3, n + 1, generator=generator, dtype=torch.float64)
    weights = OnlineGradientDescent(lr=1.0, step_size="normalised").run(xs, ys, [passes]).weights[0, :, 1:]
    # Inputs near 0 need long weights, whose rounding shows in the product.
    scale = (1 + weights.norm(dim=-1) * xs[:, :-1].norm(dim=-1)).max().item()
    assert_close((weights * xs[:, :-1]).sum(-1), ys[:, :-1], rtol=1e-9, atol=1e-11 * scale)


def test_kaczmarz_solves_orthogonal_examples_in_one_pass():
    xs, _ = torch.linalg.qr(torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    xs = 3 * xs
    ys = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    trace = OnlineGradientDescent(lr=1.0, step_size="normalised").run(xs, ys, [1])
    assert_close(trace.weights[0], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-9, atol=1e-11)
    assert trace.status is Status.CONVERGED


def test_normalised_steps_approach_a_solution_where_there_is_one(xs):
    """Each pass brings w closer to every solution; from 0 it comes to that of least norm."""
    hidden = torch.tensor([1.0, -2.0], dtype=torch.float64)
    xs = xs[..., :2]
    ys = xs @ hidden
    weights = OnlineGradientDescent(lr=1.0, step_size="normalised").run(xs, ys, [0, 1, 10, 3000]).weights
    distances = (weights - hidden).norm(dim=-1)[:, :, 1:]
    assert (distances[1:] <= distances[:-1] + 1e-9).all()
    assert (distances[1] < distances[0]).all()
    assert_close(weights[-1], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-6, atol=1e-8)


def test_with_tiny_steps_a_pass_is_one_sum_normalised_gradient_step(xs, ys):
    online = OnlineGradientDescent(lr=1e-8).run(xs, ys, [1, 3]).weights
    batch = GradientDescent(lr=1e-8, normalize="sum").run(xs, ys, [1, 3]).weights
    assert_close(online, batch, rtol=1e-5, atol=1e-14)


def test_an_input_of_0_changes_nothing(xs, ys):
    xs[:, 3] = 0
    for solver in (OnlineGradientDescent(lr=0.1), OnlineGradientDescent(lr=1.0, step_size="normalised")):
        weights = solver.run(xs, ys, [1]).weights[0]
        assert torch.equal(weights[:, 3], weights[:, 4])
        assert weights[:, 3].any()


def test_prefixes_may_be_asked_in_any_order_and_twice(xs, ys):

    solver = OnlineGradientDescent(lr=0.1)
    chosen = Regressions.of(Prompts(xs=xs, ys=ys), [7, 2, 7, 0])
    everywhere = Regressions.every_prefix(xs, ys)
    assert torch.equal(solver.weights(chosen, [3]), solver.weights(everywhere, [3])[:, :, [7, 2, 7, 0]])


def test_steps_that_are_too_long_diverge_without_an_exception(xs, ys):
    assert OnlineGradientDescent(lr=50.0).run(xs, ys, [1, 3, 2000]).status is Status.DIVERGED
    assert OnlineGradientDescent(lr=2.2, step_size="normalised").run(xs, ys, [200]).status is Status.DIVERGED
    assert OnlineGradientDescent(lr=0.01).run(xs, ys, [1]).status is Status.RUNNING
