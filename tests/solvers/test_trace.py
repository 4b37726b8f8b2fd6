import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.solvers import Regressions, Status
from interp.solvers.trace import STATUS_CODES, classify_fit
from tests.solvers import explicit


@pytest.mark.parametrize(
    ("share", "status"),
    [
        (0.0, Status.RUNNING),
        (0.5, Status.RUNNING),
        (1 - 1e-5, Status.RUNNING),
        (1 - 1e-8, Status.CONVERGED),
        (1 + 1e-8, Status.CONVERGED),
        (1.9, Status.RUNNING),
        (2.1, Status.DIVERGED),
        (-0.1, Status.DIVERGED),
        (float("nan"), Status.DIVERGED),
        (float("inf"), Status.DIVERGED),
    ],
)
def test_weights_stand_by_the_fit_they_lack_and_have_diverged_where_0_fits_better(xs, ys, share, status):
    solution = explicit.every_prefix(xs, ys, explicit.least_squares)
    codes = classify_fit(share * solution[None], Regressions.every_prefix(xs, ys).spectrum)
    assert (codes[0, :, 1:] == STATUS_CODES.index(status)).all()


def test_without_examples_0_is_the_solution(xs, ys):
    codes = classify_fit(torch.zeros(1, 6, 9, 4).double(), Regressions.every_prefix(xs, ys).spectrum)
    assert (codes[0, :, 0] == STATUS_CODES.index(Status.CONVERGED)).all()


@given(seed=st.integers(0, 10_000), t=st.integers(1, 6))
def test_diverged_is_a_larger_loss_than_that_of_0(seed, t):
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    ys = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    weights = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    diverged = classify_fit(weights[None], Regressions.every_prefix(xs, ys).spectrum)[0] == 3
    errors = torch.einsum("ptd,pd->pt", xs[:, :t], weights[:, t]) - ys[:, :t]
    assert torch.equal(diverged[:, t], errors.square().sum(-1) > ys[:, :t].square().sum(-1))
