import math

import pytest

from interp.solvers import Range, search
from tests.errors import raises_exactly


@pytest.mark.parametrize("at", [0.002, 1.0, 37.0])
@pytest.mark.parametrize("log", [False, True])
def test_it_finds_the_bottom_of_a_parabola(at, log):
    space = {"lr": Range(1e-3, 100.0, log=log)}
    measure = math.log if log else float
    found = search(lambda values: (measure(values["lr"]) - measure(at)) ** 2, space)
    # The search resolves a millionth of the range, here 100 or log(1e5).
    assert measure(found.values["lr"]) == pytest.approx(measure(at), abs=1e-4)
    assert found.objective < 1e-8


@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.3), (0.42, 0.77)])
def test_it_finds_a_minimum_in_two_hyperparameters_also_on_the_edge_of_the_range(corner):
    a, b = corner

    def bowl(values):
        u, v = values["u"] - a, values["v"] - b
        return u**2 + u * v + 3 * v**2

    found = search(bowl, {"u": Range(0.0, 1.0), "v": Range(0.0, 1.0)})
    # An evaluation budget of 80 leaves Nelder-Mead within a thousandth of the range.
    assert (found.values["u"], found.values["v"]) == pytest.approx(corner, abs=1e-3)


def test_it_follows_a_bent_valley():
    """Rosenbrock's function, whose valley no axis follows."""
    found = search(
        lambda values: (1 - values["a"]) ** 2 + 100 * (values["b"] - values["a"] ** 2) ** 2,
        {"a": Range(-2.0, 2.0), "b": Range(-1.0, 3.0)},
    )
    assert found.objective < 1e-2


def test_it_prefers_a_deep_narrow_valley_to_a_shallow_wide_one():
    def landscape(values):
        u = values["u"]
        return min(u**2, 50 * (u - 0.81) ** 2 - 1)

    found = search(landscape, {"u": Range(0.0, 1.0)})
    assert found.values["u"] == pytest.approx(0.81, abs=1e-4)
    assert found.objective == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_diverge_are_avoided(bad):
    found = search(lambda values: bad if values["lr"] > 2 else (values["lr"] - 1.9) ** 2, {"lr": Range(0.01, 10.0)})
    assert found.values["lr"] == pytest.approx(1.9, abs=1e-3)


def test_the_objective_reported_is_that_of_the_values_reported():
    def objective(values: dict[str, float]) -> float:
        return math.cos(3 * values["u"]) + 0.1 * values["v"]

    found = search(objective, {"u": Range(0.1, 4.0, log=True), "v": Range(-1.0, 1.0)})
    assert found.objective == pytest.approx(objective(found.values), abs=1e-12)


def test_a_range_ends_where_it_says():
    assert [Range(2.0, 8.0).at(share) for share in (0.0, 0.5, 1.0)] == [2.0, 5.0, 8.0]
    assert [Range(2.0, 8.0, log=True).at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 4.0, 8.0])


@pytest.mark.parametrize("names", [[], ["a", "b", "c"]], ids=str)
def test_it_takes_one_or_two_hyperparameters(names):
    with raises_exactly(ValueError, f"A search takes one or two hyperparameters, got {names}."):
        search(lambda values: 0.0, dict.fromkeys(names, Range(0.0, 1.0)))


def test_an_objective_that_is_never_finite_is_an_error():
    space = {"lr": Range(0.0, 1.0)}
    with raises_exactly(
        ValueError, f"No value of ['lr'] in {space} gives a finite objective; the data may be degenerate."
    ):
        search(lambda values: math.nan, space)
