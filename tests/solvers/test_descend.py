import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from interp.solvers.descend import descend
from tests.errors import raises_exactly


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(dim=st.integers(1, 6), seed=st.integers(0, 10_000), units=st.sampled_from([1e-9, 1.0, 1e15]))
def test_it_finds_the_minimum_of_a_quadratic_in_whatever_units(dim, seed, units):
    generator = torch.Generator().manual_seed(seed)
    root, at, *starts = torch.randn(dim + 4, dim, generator=generator, dtype=torch.float64).split([dim, 1, 1, 1, 1])
    form = root.mT @ root + torch.eye(dim, dtype=torch.float64)

    def quadratic(point: Tensor) -> Tensor:
        away = (point - at).flatten()
        return units * away @ form @ away

    assert_close(descend(quadratic, starts), at, rtol=0, atol=1e-4)


def test_points_keep_the_shape_of_the_starts():
    at = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    found = descend(lambda point: (point - at).square().sum() + 7, [torch.zeros(2, 3, dtype=torch.float64)])
    assert_close(found, at, rtol=0, atol=1e-4)


def test_it_follows_a_bent_valley():
    """Rosenbrock's function, whose valley no axis follows."""
    found = descend(
        lambda point: (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2, [vector(-1.2, 1.0), vector(3.0, 0.0)]
    )
    assert_close(found, vector(1.0, 1.0), rtol=0, atol=1e-3)


def four_valleys(point: Tensor) -> Tensor:
    """Minima near -3, -1, 1 and 3, of which the one near 1 is deepest, about -1.5."""
    depths = torch.tensor([1.0, 0.8, 1.5, 1.2], dtype=torch.float64)
    places = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64)
    return -(depths * torch.exp(-4 * (point - places).square())).sum()


def test_of_several_valleys_it_takes_the_lowest():
    starts = [vector(at) for at in (-3.0, -1.1, 0.4, 2.9)]  # the deepest is not the lowest to begin with
    assert four_valleys(starts[2]) > four_valleys(starts[0])
    assert_close(descend(four_valleys, starts), vector(1.0), rtol=0, atol=1e-3)


def test_starts_may_come_in_any_order():
    starts = [vector(at) for at in (-3.2, -0.9, 1.3, 2.8)]
    assert_close(descend(four_valleys, starts), descend(four_valleys, starts[::-1]), rtol=0, atol=1e-6)


def test_it_descends_from_the_lowest_starts_alone():
    """Of five starts the highest is left, though a deeper valley begins there."""
    starts = [vector(-3.0), vector(-3.01), vector(-2.99), vector(-3.02), vector(0.3)]
    assert_close(descend(four_valleys, starts), vector(-3.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_starts_where_the_objective_is_not_finite_are_passed_over(bad):
    def cliff(point: Tensor) -> Tensor:
        return ((point - 1.5) ** 2).sum() if point <= 2 else bad * point.sum()

    starts = [vector(3.0), vector(5.0), vector(0.0), vector(9.0), vector(4.0), vector(8.0)]
    assert_close(descend(cliff, starts), vector(1.5), rtol=0, atol=1e-4)


def test_a_descent_that_runs_into_values_that_are_not_finite_steps_back():
    seen = []

    def barrier(point: Tensor) -> Tensor:
        """Least at 1 and no number below 0; all but linear from afar, so that long steps are tried."""
        seen.append((point + point.sqrt() ** -2).sum())
        return seen[-1]

    assert_close(descend(barrier, [vector(50.0)]), vector(1.0), rtol=0, atol=1e-3)
    assert not all(value.isfinite() for value in seen)


def test_a_start_at_the_bottom_is_kept():
    assert torch.equal(descend(lambda point: point.square().sum(), [vector(1.0, 2.0), vector(0.0, 0.0)]), vector(0, 0))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_an_objective_that_is_finite_at_no_start_is_an_error(bad):
    with raises_exactly(ValueError, "No start has a finite objective; the data may be degenerate."):
        descend(lambda point: point.sum() * bad, [vector(1.0), vector(2.0)])


def test_the_starts_are_left_as_they_were():
    starts = [vector(3.0), vector(-2.0)]
    descend(four_valleys, starts)
    assert [start.item() for start in starts] == [3.0, -2.0]
    assert not any(start.requires_grad for start in starts)
