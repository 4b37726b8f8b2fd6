from itertools import pairwise

import numpy as np
import pytest
import sklearn.linear_model
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import Lasso, Regressions, Status
from interp.solvers.lasso_path import LassoPath
from interp.tasks import LinearRegression
from tests.errors import raises_exactly
from tests.solvers import explicit

ALPHAS = [1e-3, 0.05, 0.3, 1.0]


def largest_violation(xs, ys, weights, alpha):
    """Of the optimality conditions: X^T (y - X w) / n is alpha sign(w) where w is not 0, and within alpha elsewhere."""
    worst = 0.0
    for t in range(1, xs.shape[1]):
        X, y, w = xs[:, :t], ys[:, :t], weights[:, t]
        correlation = torch.einsum("ptd,pt->pd", X, y - torch.einsum("ptd,pd->pt", X, w)) / t
        active = w != 0
        worst = max(
            worst,
            torch.where(active, (correlation - alpha * w.sign()).abs(), correlation.abs() - alpha).max().item(),
        )
    return worst


@pytest.mark.parametrize("alpha", ALPHAS)
def test_it_is_scikit_learns_lasso_without_intercept_at_every_prefix(xs, ys, alpha):
    trace = Lasso(alpha=alpha).run(xs, ys, [1])
    theirs = sklearn.linear_model.Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=1_000_000)
    for p in range(len(xs)):
        for t in range(1, xs.shape[1]):
            expected = theirs.fit(xs[p, :t].numpy(), ys[p, :t].numpy()).coef_
            np.testing.assert_allclose(trace.weights[0, p, t].numpy(), expected, rtol=1e-4, atol=1e-5)
    assert trace.status is Status.CONVERGED


@pytest.mark.parametrize("alpha", ALPHAS)
def test_it_satisfies_the_optimality_conditions_at_every_prefix(xs, ys, alpha):
    weights = Lasso(alpha=alpha).run(xs, ys, [1]).weights[0]
    assert largest_violation(xs, ys, weights, alpha) < 1e-12
    assert (weights == 0).any() and (weights != 0).any()


@given(
    dim=st.integers(1, 8),
    n_points=st.integers(2, 12),
    share=st.floats(1e-4, 1.2),
    seed=st.integers(0, 10_000),
    whole=st.booleans(),
)
def test_it_satisfies_them_on_any_data(dim, n_points, share, seed, whole):
    """Whole numbers make ties: inputs of equal correlation, equal and opposite columns, columns of zeros."""
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(2, n_points, dim, generator=generator, dtype=torch.float64)
    ys = torch.randn(2, n_points, generator=generator, dtype=torch.float64)
    if whole:
        xs, ys = xs.round(), ys.round()
    alpha = max(share * torch.einsum("ptd,pt->pd", xs, ys).abs().max().item() / n_points, 1e-3)
    trace = Lasso(alpha=alpha).run(xs, ys, [1])
    assert trace.status is Status.CONVERGED
    scale = torch.einsum("ptd,pt->pd", xs.abs(), ys.abs()).max().item()
    assert largest_violation(xs, ys, trace.weights[0], alpha) < 1e-6 * max(scale, 1.0)


def test_on_an_orthogonal_design_it_shrinks_each_least_squares_weight_by_alpha_and_no_further_than_0():
    n = 6
    X, _ = torch.linalg.qr(torch.randn(3, n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    xs = torch.cat([n**0.5 * X, torch.ones(3, 1, 4)], dim=1)  # X^T X = n I
    ys = torch.randn(3, n + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    unshrunk = explicit.every_prefix(xs, ys, explicit.least_squares)[:, -1]
    for alpha in (0.05, 0.2, 0.5):
        expected = unshrunk.sign() * (unshrunk.abs() - alpha).clamp(min=0)
        assert_close(Lasso(alpha=alpha).run(xs, ys, [1]).weights[0, :, -1], expected, rtol=1e-10, atol=1e-12)


def test_with_ever_less_penalty_it_becomes_least_squares_where_that_is_unique(xs, ys):
    expected = explicit.every_prefix(xs, ys, explicit.least_squares)[:, 4:]
    distances = [
        (Lasso(alpha=alpha).run(xs, ys, [1]).weights[0, :, 4:] - expected).norm().item() for alpha in (1e-5, 1e-6, 1e-9)
    ]
    assert distances[0] / distances[1] == pytest.approx(10, rel=1e-3)
    assert distances[2] < 1e-5


def test_all_weights_are_0_exactly_from_the_largest_correlation_on(xs, ys):
    X, y = xs[:1, :-1], ys[:1, :-1]
    edge = (torch.einsum("ptd,pt->pd", X, y) / X.shape[1]).abs().max().item()
    above, below = (Lasso(alpha=share * edge).run(xs[:1], ys[:1], [1]).weights[0, 0, -1] for share in (1.001, 0.999))
    assert not above.any()
    assert (below != 0).sum() == 1


def test_weights_are_linear_in_the_penalty_between_the_knots_of_their_path(xs, ys):
    problems = Regressions.every_prefix(xs, ys)
    path = problems.lasso_path
    assert (path.penalties[1:] <= path.penalties[:-1]).all()
    assert (path.penalties[-1] <= 1e-12 * path.penalties[0]).all()
    p, t = 1, 8
    for low, high in pairwise(path.penalties[:, p, t].unique().tolist()):
        alphas = [((1 - share) * low + share * high) / t for share in (0.1, 0.5, 0.9)]
        at = [Lasso(alpha=alpha).run(xs, ys, [1]).weights[0, p, t] for alpha in alphas]
        assert_close(at[1], (at[0] + at[2]) / 2, rtol=1e-9, atol=1e-12)


def test_a_weight_may_leave_the_path_again():
    """Over 40 prompts of correlated inputs some coordinate joins, leaves, and the conditions hold all along."""
    prompts = LinearRegression(dim=8, n_points=20).sample(40, seed=1)
    common = prompts.xs.double().sum(-1, keepdim=True)
    xs, ys = prompts.xs.double() + 0.7 * common, prompts.ys.double()
    path = Regressions.every_prefix(xs, ys).lasso_path
    active = path.weights != 0
    assert (active[:-1] & ~active[1:]).any()
    for alpha in (1e-4, 1e-2):
        assert largest_violation(xs, ys, Lasso(alpha=alpha).run(xs, ys, [1]).weights[0], alpha) < 1e-10


def test_two_columns_that_are_equal_share_what_one_would_have():
    """The path cannot tell them apart; coordinate descent steps in."""
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(4, 9, 2, generator=generator, dtype=torch.float64)
    ys = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    trace = Lasso(alpha=0.05).run(torch.cat([one, one], dim=-1), ys, [1])
    alone = Lasso(alpha=0.05).run(one, ys, [1])
    assert trace.status is Status.CONVERGED
    assert_close(trace.weights[0, :, 3:, :2] + trace.weights[0, :, 3:, 2:], alone.weights[0, :, 3:], rtol=0, atol=1e-4)


def test_a_path_starts_at_the_largest_correlation(xs, ys):
    gram, moment = Regressions.every_prefix(xs, ys).sums()
    path = LassoPath.of(gram, moment)
    assert torch.equal(path.penalties[0], moment.abs().amax(-1))
    assert not path.weights[0].any()


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_the_penalty_is_positive(alpha):
    with raises_exactly(
        ValueError, f"Lasso needs a positive penalty `alpha`, got {alpha}; the limit 0 is solver 'ols'."
    ):
        Lasso(alpha=alpha)
