import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import ConjugateGradient, GradientDescent, Newton, Status
from tests.solvers import explicit


def misfit(xs, ys, weights, t):
    """``|y - X w|`` on the first t examples, [step prompt]."""
    return (torch.einsum("ptd,spd->spt", xs[:, :t], weights[:, :, t]) - ys[:, :t]).norm(dim=-1)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_each_step_is_the_best_in_its_krylov_space_at_every_prefix(xs, ys, steps):
    trace = ConjugateGradient().run(xs, ys, [steps])
    expected = explicit.every_prefix(
        xs,
        ys,
        lambda X, y: explicit.conjugate_gradient(X, y, steps=steps) if len(X) else X.new_zeros(4),
    )
    assert_close(trace.weights[0], expected, rtol=1e-7, atol=1e-9)
    assert_close(trace.predictions[0], explicit.predictions_of(expected, xs), rtol=1e-7, atol=1e-9)


@given(dim=st.integers(1, 6), n=st.integers(1, 9), rank=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_it_solves_a_prefix_in_as_many_steps_as_its_rank(dim, n, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    # Singular values between 1 and 2, so that rounding does not blur the theorem.
    rank = min(rank, dim, n)
    left, right = (
        torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))[0] for size in (n, dim)
    )
    X = left * (1 + torch.rand(rank, generator=generator, dtype=torch.float64)) @ right.T
    y = torch.randn(n, generator=generator, dtype=torch.float64)
    xs, ys = torch.cat([X, torch.ones(1, dim)])[None], torch.cat([y, torch.zeros(1)])[None]
    trace = ConjugateGradient().run(xs, ys, [rank])
    expected = torch.linalg.pinv(X, rtol=1e-10) @ y
    assert_close(trace.weights[0, 0, n], expected, rtol=1e-8, atol=1e-10)


def test_it_takes_one_step_for_each_distinct_eigenvalue():
    """Five directions, two eigenvalues: one step is not enough, two are."""
    xs = torch.cat([torch.diag(torch.tensor([1.0, 1.0, 1.0, 3.0, 3.0])), torch.ones(1, 5)])[None].double()
    ys = torch.tensor([[1.0, -2.0, 0.5, 1.0, 4.0, 0.0]], dtype=torch.float64)
    weights = ConjugateGradient().run(xs, ys, [1, 2]).weights[:, 0, -1]
    solution = ys[0, :5] / xs[0].diagonal()
    assert (weights[0] - solution).norm() > 0.1
    assert_close(weights[1], solution, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        GradientDescent(lr=0.5),
        GradientDescent(lr=0.02, normalize="sum"),
        GradientDescent(lr=(0.05, 0.3, 0.11), normalize="sum"),
    ],
    ids=["mean", "sum", "own"],
)
def test_no_other_sum_of_gradients_fits_the_examples_better(xs, ys, other):
    ours, theirs = (solver.run(xs, ys, [1, 2, 3]).weights for solver in (ConjugateGradient(), other))
    for t in range(1, xs.shape[1]):
        assert (misfit(xs, ys, ours, t) <= misfit(xs, ys, theirs, t) + 1e-12).all()


def test_newton_fits_no_better_than_the_step_of_the_same_degree(xs, ys):
    """Newton from M_0 = c S is a polynomial of degree 2^(k+1) - 1 in S times X^T y."""
    newton = Newton().run(xs, ys, [0, 1]).weights
    ours = ConjugateGradient().run(xs, ys, [2, 4]).weights
    for t in range(1, xs.shape[1]):
        assert (misfit(xs, ys, ours, t) <= misfit(xs, ys, newton, t) + 1e-12).all()


def test_it_stays_where_it_has_arrived(xs, ys):
    trace = ConjugateGradient().run(xs, ys, [12, 1000])
    assert_close(trace.weights[1], trace.weights[0], rtol=1e-10, atol=1e-12)
    assert_close(trace.weights[1], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-8, atol=1e-10)
    assert trace.status is Status.CONVERGED


def test_before_it_arrives_it_is_running(xs, ys):
    assert ConjugateGradient().run(xs, ys, [2]).status is Status.RUNNING
