import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers.line_search import ARMIJO, step_length


def both(slope, curvature):
    return torch.tensor([slope], dtype=torch.float64), torch.tensor([curvature], dtype=torch.float64)


@given(slope=st.floats(1e-6, 1e6), curvature=st.floats(1e-6, 1e6))
def test_the_exact_step_is_the_minimum_along_the_direction(slope, curvature):
    length = step_length("exact", *both(slope, curvature)).item()

    def fall(step):
        return step * slope - 0.5 * step**2 * curvature

    assert fall(length) >= max(fall(0.99 * length), fall(1.01 * length), 0.0)


@given(slope=st.floats(1e-6, 1e6), curvature=st.floats(1e-6, 1e6))
def test_backtracking_takes_the_first_halving_that_armijo_accepts(slope, curvature):
    length = step_length("backtracking", *both(slope, curvature)).item()

    def accepted(step):
        return step * slope - 0.5 * step**2 * curvature >= ARMIJO * step * slope

    expected = 1.0
    while not accepted(expected):
        expected /= 2
    assert length == expected


@pytest.mark.parametrize("search", ["exact", "backtracking"])
@pytest.mark.parametrize(("slope", "curvature"), [(0.0, 0.0), (-1.0, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_a_direction_that_leads_nowhere_is_not_gone(search, slope, curvature):
    assert_close(step_length(search, *both(slope, curvature)), torch.zeros(1, dtype=torch.float64))
