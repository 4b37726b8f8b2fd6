import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import Chebyshev, GradientDescent, Regressions, Spectrum, Status
from tests.errors import raises_exactly
from tests.solvers import explicit


def residual(xs, ys, solver, steps):
    """What is missing of the solution along each eigenvector, ``1 - lambda g(lambda)``, [step prompt prefix dim]."""
    spectrum = Regressions.every_prefix(xs, ys).spectrum
    return 1 - spectrum.eigenvalues * solver.response(spectrum, steps)


def residual_on(eigenvalues, solver, k):
    """What k steps leave of given eigenvalues, [eigenvalue]."""
    spectrum = Spectrum(
        eigenvalues=eigenvalues[None, None],
        vectors=torch.eye(len(eigenvalues), dtype=torch.float64)[None, None],
        moment=torch.ones_like(eigenvalues)[None, None],
        n_examples=torch.ones(1, 1, 1, dtype=torch.float64),
    )
    return (1 - eigenvalues * solver.response(spectrum, [k]))[0, 0, 0]


def polynomial(k, at):
    """Chebyshev's polynomial T_k for arguments of at least 1."""
    return torch.cosh(k * torch.acosh(torch.as_tensor(at, dtype=torch.float64)))


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 9])
def test_it_is_the_quotient_of_chebyshev_polynomials_on_a_given_interval(xs, ys, steps):
    weights = Chebyshev(low=0.4, high=20.0, normalize="sum").run(xs, ys, [steps]).weights[0, :, 5:]
    expected = explicit.every_prefix(
        xs,
        ys,
        lambda X, y: explicit.chebyshev(X, y, low=0.4, high=20.0, steps=steps) if len(X) > 4 else X.new_zeros(4),
    )
    assert_close(weights, expected[:, 5:], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_on_its_interval_the_most_that_is_missing_is_one_over_t_k(k):
    """And it is missing at both ends, by construction eigenvalues of the prompt."""
    eigenvalues = torch.linspace(2.0, 30.0, 1001, dtype=torch.float64)
    missing = residual_on(eigenvalues, Chebyshev(low=2.0, high=30.0, normalize="sum"), k)
    bound = 1 / polynomial(k, 32 / 28)
    assert_close(missing.abs().max(), bound, rtol=1e-9, atol=0)
    assert_close(missing[[0, -1]], torch.stack([bound, (-1) ** k * bound]), rtol=1e-9, atol=0)


@given(roots=st.lists(st.floats(2.0, 30.0), min_size=4, max_size=4))
def test_no_polynomial_of_that_degree_leaves_less(roots):
    """Any other with value 1 at 0 is the product of (1 - lambda / root): gd with steps of its own."""
    eigenvalues = torch.linspace(2.0, 30.0, 1001, dtype=torch.float64)
    best = residual_on(eigenvalues, Chebyshev(low=2.0, high=30.0, normalize="sum"), 4).abs().max()
    other = residual_on(eigenvalues, GradientDescent(lr=tuple(1 / r for r in roots), normalize="sum"), 4).abs().max()
    assert other >= best * (1 - 1e-9)


def test_by_default_the_interval_is_that_of_each_prefix(xs, ys):
    k = 3
    missing = residual(xs, ys, Chebyshev(), [k])[0]
    spectrum = Regressions.every_prefix(xs, ys).spectrum
    for p in range(len(xs)):
        for t in range(1, xs.shape[1]):
            inside = spectrum.eigenvalues[p, t] > 0
            low, high = spectrum.eigenvalues[p, t][inside].aminmax()
            bound = 0.0 if low == high else 1 / polynomial(k, (high + low) / (high - low)).item()
            found = missing[p, t][inside].abs()
            # Both ends attain the bound, and nothing exceeds it.
            assert found.max().item() == pytest.approx(bound, rel=1e-8, abs=1e-12)
            assert found[0].item() == pytest.approx(bound, rel=1e-8, abs=1e-12)


def test_ends_may_be_given_for_the_gram_matrix_or_for_the_covariance(xs, ys):
    mean = Chebyshev(low=0.1, high=3.0).run(xs, ys, [4]).weights[0]
    for t in range(1, xs.shape[1]):
        total = Chebyshev(low=0.1 * t, high=3.0 * t, normalize="sum").run(xs, ys, [4]).weights[0]
        assert_close(mean[:, t], total[:, t])


def test_one_end_may_be_given_alone(xs, ys):
    top = Regressions.every_prefix(xs, ys).spectrum.eigenvalues[2, 8, -1].item()
    both = Chebyshev(low=0.5, high=top, normalize="sum").run(xs, ys, [4]).weights[0, 2, 8]
    assert_close(Chebyshev(low=0.5, normalize="sum").run(xs, ys, [4]).weights[0, 2, 8], both)


def test_one_step_is_gradient_descent_to_the_middle_of_the_interval(xs, ys):
    weights = Chebyshev(low=1.0, high=5.0, normalize="sum").run(xs, ys, [1]).weights
    assert_close(weights, GradientDescent(lr=2 / 6.0, normalize="sum").run(xs, ys, [1]).weights)


def test_an_interval_of_one_point_is_gradient_descent(xs, ys):
    weights = Chebyshev(low=40.0, high=40.0, normalize="sum").run(xs, ys, [0, 1, 5]).weights
    assert_close(weights, GradientDescent(lr=1 / 40, normalize="sum").run(xs, ys, [0, 1, 5]).weights)


def test_it_reaches_least_squares(xs, ys):
    trace = Chebyshev().run(xs, ys, [600])
    assert_close(trace.weights[0], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-6, atol=1e-8)
    assert trace.status is Status.CONVERGED


def test_eigenvalues_beyond_the_interval_diverge(xs, ys):
    assert Chebyshev(low=0.1, high=1.0, normalize="sum").run(xs, ys, [20]).status is Status.DIVERGED


def test_only_ends_that_are_given_are_searched(xs, ys):
    spectrum = Regressions.every_prefix(xs, ys).spectrum
    assert Chebyshev().search_space(spectrum) == {}
    assert Chebyshev(high=3.0).search_space(spectrum).keys() == {"high"}
    space = Chebyshev(low=1.0, high=3.0).search_space(spectrum)
    assert space["low"].high < space["high"].low  # else some pairs are no interval


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (None, 0.0), (None, -1.0)])
def test_an_interval_lies_above_0_and_has_its_ends_in_order(low, high):
    with raises_exactly(
        ValueError,
        f"Chebyshev needs an interval with 0 <= low <= high and high > 0, got low={low}, high={high}.",
    ):
        Chebyshev(low=low, high=high)
