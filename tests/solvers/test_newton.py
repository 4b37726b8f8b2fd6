from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import GradientDescent, Newton, Status
from tests.errors import raises_exactly
from tests.solvers import explicit

STEPS = [0, 1, 2, 5, 9]
VARIANTS = [
    {"scale": "frobenius"},
    {"scale": "spectral"},
    {"scale": "paper"},
    {"scale": "constant", "alpha": 1e-3},
    {"scale": "frobenius", "start": "identity", "alpha": 0.02},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
def test_it_is_the_explicit_iteration_at_every_prefix(xs, ys, variant):
    trace = Newton(**variant).run(xs, ys, STEPS)
    for i, steps in enumerate(STEPS):
        expected = explicit.every_prefix(xs, ys, partial(explicit.newton, steps=steps, **variant))
        # The explicit iteration doubles rounding noise in the null space at every step.
        assert_close(trace.weights[i], expected, rtol=1e-9, atol=1e-11)


@given(
    k=st.integers(0, 6),
    dim=st.integers(1, 6),
    n_points=st.integers(2, 9),
    share=st.floats(1e-4, 0.999),
    seed=st.integers(0, 10_000),
)
def test_k_newton_steps_from_eta_times_identity_equal_2_to_the_k_gradient_steps(k, dim, n_points, share, seed):
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(3, n_points, dim, generator=generator, dtype=torch.float64)
    ys = torch.randn(3, n_points, generator=generator, dtype=torch.float64)
    eta = share * 2 / torch.linalg.eigvalsh(xs.mT @ xs).max().item()
    newton = Newton(start="identity", alpha=eta).run(xs, ys, [k])
    gd = GradientDescent(lr=eta, normalize="sum").run(xs, ys, [2**k])
    # Near the edge of stability both take differences of numbers near 1 at each of up to 64 steps.
    assert_close(newton.weights, gd.weights, rtol=1e-9, atol=1e-11 * gd.weights.abs().max().item())


@pytest.mark.parametrize("scale", ["frobenius", "spectral"])
def test_the_share_still_missing_squares_with_every_step(xs, ys, scale):
    """I - M_{k+1} S = (I - M_k S)^2, so errors against least squares shrink quadratically."""
    trace = Newton(scale=scale).run(xs, ys, [0, 1])
    X, y = xs[:, :-1], ys[:, :-1]
    S = X.mT @ X
    order = "fro" if scale == "frobenius" else 2
    missing = torch.eye(4, dtype=S.dtype) - S @ S / torch.linalg.matrix_norm(S @ S, ord=order)[:, None, None]
    exact = torch.linalg.lstsq(X, y[..., None]).solution
    for k in (0, 1):
        error = torch.linalg.matrix_power(missing, 2**k) @ exact
        assert_close(exact - trace.weights[k, :, -1, :, None], error, rtol=1e-9, atol=1e-12)


def test_it_converges_to_least_squares_also_where_examples_are_fewer_than_coordinates(xs, ys):
    trace = Newton().run(xs, ys, [60])
    assert_close(trace.weights[0], explicit.every_prefix(xs, ys, explicit.least_squares), rtol=1e-8, atol=1e-10)
    assert trace.status is Status.CONVERGED


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_the_papers_scale_taken_literally_stalls(xs, ys, steps):
    assert Newton(scale="paper").run(xs, ys, [steps]).status is Status.STALLED


def test_the_papers_scale_never_learns_the_leading_direction(xs, ys):
    weights = Newton(scale="paper").run(xs, ys, [50]).weights[0, :, -1]
    _, vectors = torch.linalg.eigh(xs[:, :-1].mT @ xs[:, :-1])
    along_top = torch.einsum("pd,pd->p", weights, vectors[..., -1])
    assert_close(along_top, torch.zeros_like(along_top), rtol=0, atol=1e-8)


def test_a_start_beyond_the_edge_diverges_without_an_exception(xs, ys):
    assert Newton(scale="constant", alpha=1.0).run(xs, ys, [12]).status is Status.DIVERGED


def test_a_run_that_has_not_begun_is_running(xs, ys):
    assert Newton(scale="constant", alpha=1e-6).run(xs, ys, [0]).status is Status.RUNNING


@pytest.mark.parametrize("options", [{"scale": "constant"}, {"start": "identity"}])
def test_a_constant_start_needs_its_factor(options):
    with raises_exactly(
        ValueError,
        "Newton needs `alpha`, the factor of its start, with scale='constant' or start='identity'.",
    ):
        Newton(**options)


def test_a_factor_that_would_be_ignored_is_refused():
    with raises_exactly(
        ValueError,
        "Newton ignores `alpha` with scale='frobenius'; use scale='constant' to start from alpha S.",
    ):
        Newton(alpha=0.1)
