"""BFGS and L-BFGS."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import BFGS, LBFGS, ConjugateGradient, Regressions, Status
from tests.errors import raises_exactly
from tests.solvers import explicit

STEPS = [0, 1, 2, 3, 5]


@pytest.mark.parametrize("first_step", [1.0, 0.05, 30.0])
@pytest.mark.parametrize(
    ("solver", "memory"), [(BFGS(), None), (LBFGS(), 10), (LBFGS(memory=2), 2), (LBFGS(memory=1), 1)], ids=str
)
def test_it_is_the_explicit_iteration_at_every_prefix(xs, ys, solver, memory, first_step):
    solver = type(solver)(**(vars(solver) | {"first_step": first_step}))
    trace = solver.run(xs, ys, STEPS)
    for i, steps in enumerate(STEPS):
        expected = explicit.every_prefix(
            xs, ys, partial(explicit.quasi_newton, steps=steps, memory=memory, first_step=first_step)
        )
        assert_close(trace.weights[i], expected, rtol=1e-6, atol=1e-7)
        assert_close(trace.predictions[i], explicit.predictions_of(expected, xs), rtol=1e-6, atol=1e-7)


@given(
    dim=st.integers(1, 6),
    n=st.integers(1, 9),
    memory=st.integers(1, 4),
    first_step=st.floats(1e-3, 1e3),
    seed=st.integers(0, 10_000),
)
def test_with_the_exact_line_search_both_are_conjugate_gradient(dim, n, memory, first_step, seed):
    """Dixon's theorem, for quadratic objectives. It holds until they arrive; then all stay."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(size, min(n, dim), generator=generator, dtype=torch.float64))[0]
        for size in (n, dim)
    )
    X = left * (1 + torch.rand(min(n, dim), generator=generator, dtype=torch.float64)) @ right.T
    xs = torch.cat([X, torch.ones(1, dim)])[None]
    ys = torch.randn(1, n + 1, generator=generator, dtype=torch.float64)
    steps = [0, 1, 2, 3, 6]
    expected = ConjugateGradient().run(xs, ys, steps).weights[:, :, -1]
    for solver in (
        BFGS(line_search="exact", first_step=first_step),
        LBFGS(line_search="exact", first_step=first_step, memory=memory),
    ):
        assert_close(solver.run(xs, ys, steps).weights[:, :, -1], expected, rtol=1e-7, atol=1e-8)


def test_as_practised_neither_is_conjugate_gradient(xs, ys):
    steps = [1, 2, 3]
    expected = ConjugateGradient().run(xs, ys, steps).weights[:, :, 5:]
    for solver in (BFGS(), LBFGS()):
        found = solver.run(xs, ys, steps).weights[:, :, 5:]
        assert ((found - expected).norm(dim=-1) > 1e-3 * expected.norm(dim=-1)).float().mean() > 0.9


@pytest.mark.parametrize("solver", [BFGS(), LBFGS(), LBFGS(memory=1)], ids=str)
def test_the_objective_falls_with_every_step(xs, ys, solver):
    weights = solver.run(xs, ys, range(12)).weights
    for t in range(1, xs.shape[1]):
        loss = (torch.einsum("ptd,spd->spt", xs[:, :t], weights[:, :, t]) - ys[:, :t]).square().sum(-1)
        assert (loss[1:] <= loss[:-1] * (1 + 1e-12) + 1e-20).all()
        assert (loss[1] < loss[0]).all()


@pytest.mark.parametrize("solver", [BFGS(), LBFGS()], ids=str)
def test_it_reaches_least_squares_and_stays(xs, ys, solver):
    trace = solver.run(xs, ys, [40, 400])
    expected = explicit.every_prefix(xs, ys, explicit.least_squares)
    assert_close(trace.weights[0], expected, rtol=1e-6, atol=1e-8)
    assert_close(trace.weights[1], trace.weights[0], rtol=1e-7, atol=1e-9)
    assert trace.status is Status.CONVERGED
    assert solver.run(xs, ys, [2]).status is Status.RUNNING


@pytest.mark.parametrize("solver", [BFGS(first_step=1e-4), LBFGS(first_step=1e-4)], ids=str)
def test_a_short_first_step_has_the_length_that_was_asked_for(xs, ys, solver):
    weights = solver.run(xs, ys, [1]).weights[0, :, 1:]
    assert_close(weights.norm(dim=-1), torch.full_like(weights[..., 0], 1e-4))


def test_a_first_step_that_is_too_long_is_halved_until_it_is_not(xs, ys):
    lengths = BFGS(first_step=1000.0).run(xs, ys, [1]).weights[0, :, 1:].norm(dim=-1)
    halvings = torch.log2(1000.0 / lengths)
    assert_close(halvings, halvings.round(), rtol=0, atol=1e-9)
    assert halvings.min() > 3


def test_after_dim_exact_steps_bfgs_has_found_the_inverse():
    """On a quadratic, H equals the inverse of S after dim exact steps: the next full step would be Newton's."""
    generator = torch.Generator().manual_seed(4)
    xs = torch.randn(5, 9, 3, generator=generator, dtype=torch.float64)
    ys = torch.randn(5, 9, generator=generator, dtype=torch.float64)
    problems = Regressions.every_prefix(xs, ys)
    solution = explicit.every_prefix(xs, ys, explicit.least_squares)[:, 4:]
    found = BFGS(line_search="exact").weights(problems, [3])[0, :, 4:]
    assert_close(found, solution, rtol=1e-7, atol=1e-9)


def test_a_longer_memory_than_steps_changes_nothing(xs, ys):
    short, long = (LBFGS(memory=memory).run(xs, ys, [6]).weights for memory in (5, 50))
    assert torch.equal(short, long)


@pytest.mark.parametrize(("solver", "title"), [(BFGS, "BFGS"), (LBFGS, "L-BFGS")])
@pytest.mark.parametrize("length", [0.0, -1.0])
def test_the_first_step_has_a_positive_length(solver, title, length):
    with raises_exactly(ValueError, f"{title} needs a positive `first_step`, got {length}."):
        solver(first_step=length)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("memory", [0, 2.5])
def test_the_memory_is_a_count(memory):
    with raises_exactly(ValueError, f"L-BFGS needs a `memory` of at least 1 step, a whole number; got {memory}."):
        LBFGS(memory=memory)
