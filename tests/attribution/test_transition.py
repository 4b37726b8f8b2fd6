"""Change points of curves whose change is known, and the order of two of them over runs."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.attribution import change_point, find_transition
from tests.errors import raises_exactly

UPDATES = list(range(0, 1000, 10))


def step(at: int, low: float = 0.0, high: float = 1.0) -> list[float]:
    """A curve that jumps at an update."""
    return [high if update >= at else low for update in UPDATES]


@given(
    first=st.integers(1, 99),
    low=st.floats(-10, 10),
    size=st.floats(0.1, 10),
    sign=st.sampled_from([-1, 1]),
    seed=st.integers(0, 100),
)
def test_a_step_is_found_where_it_is_whatever_its_size_its_sign_and_the_order_of_the_checkpoints(
    first, low, size, sign, seed
):
    order = np.random.default_rng(seed).permutation(100)
    curve = np.array(step(10 * first, low, low + sign * size))
    found = change_point(np.array(UPDATES)[order].tolist(), curve[order].tolist())
    assert found.between == (10 * first - 10, 10 * first)
    assert found.at == 10 * first - 5
    assert (found.before, found.after) == pytest.approx((low, low + sign * size))
    assert found.explained == pytest.approx(1)
    assert found.sudden


@given(seed=st.integers(0, 50))
def test_it_is_the_least_squares_fit_of_two_levels(seed):
    curve = np.random.default_rng(seed).normal(size=12).cumsum()
    left = [
        ((curve[:cut] - curve[:cut].mean()) ** 2).sum() + ((curve[cut:] - curve[cut:].mean()) ** 2).sum()
        for cut in range(1, 12)
    ]
    found = change_point(list(range(12)), curve.tolist())
    assert found.between[1] == 1 + int(np.argmin(left))
    assert found.explained == pytest.approx(1 - min(left) / ((curve - curve.mean()) ** 2).sum())


def test_checkpoints_that_are_far_apart_or_late_are_told_apart():
    late = 2**24
    found = change_point([0, 1, 10, late, late + 1, late + 2], [0, 0, 0, 0, 1, 1])
    assert found.between == (late, late + 1)


def test_a_straight_ramp_is_the_limit_of_what_counts_as_sudden():
    ramp = change_point(UPDATES, [float(update) for update in UPDATES])
    assert ramp.explained == pytest.approx(0.75, abs=1e-3)
    assert not ramp.sudden
    assert ramp.at == UPDATES[50] - 5
    half = [float(min(max(update, 250), 750)) for update in UPDATES]
    assert change_point(UPDATES, half).sudden


@pytest.mark.parametrize(
    ("values", "said"),
    [([1.0], "1 checkpoint(s) and values from 1 to 1"), ([2.0, 2.0, 2.0], "3 checkpoint(s) and values from 2 to 2")],
)
def test_a_curve_without_a_change_is_refused(values, said):
    message = f"A change takes a curve of at least two checkpoints that is not constant, got {said}."
    with raises_exactly(ValueError, message):
        change_point(list(range(len(values))), values)


def run_of(loss_at: int, dependency_at: int) -> pd.DataFrame:
    """A table of one run: the loss falls and the x tokens' dependency on the next token rises, all else stays."""
    curves = {("x", "next"): step(dependency_at), ("x", "others"): step(0)}
    return pd.concat(
        [
            pd.DataFrame({"update": UPDATES, "loss": step(loss_at, 0.4, 0.2), "reader": r, "source": s, "value": curve})
            for (r, s), curve in curves.items()
        ],
        ignore_index=True,
    )


def transition_of(pairs: Sequence[tuple[int, int]]):
    return find_transition([run_of(*pair) for pair in pairs])


def test_one_run_has_change_points_and_no_interval():
    found = find_transition(run_of(500, 450))
    assert (found.loss[0].between, found.dependency[0].between) == ((490, 500), (440, 450))
    assert (found.loss_at.estimate, found.dependency_at.estimate, found.lag.estimate) == (495, 445, -50)
    for interval in (found.loss_at, found.dependency_at, found.lag):
        assert math.isnan(interval.low) and math.isnan(interval.high)


def test_several_runs_have_students_interval_over_runs_and_lags_are_paired():
    """Runs learn at very different times, but the lag is 100 in each: it has no spread."""
    found = transition_of([(200, 300), (400, 500), (800, 900)])
    assert found.loss_at.low < 200 < 800 < found.loss_at.high
    assert found.lags == (100, 100, 100)
    assert (found.lag.low, found.lag.high) == (100, 100)


@pytest.mark.parametrize(
    ("pairs", "order"),
    [
        ([(200, 300), (400, 510), (800, 890)], "loss first"),
        ([(300, 200), (510, 400), (890, 800)], "dependency first"),
        ([(300, 300), (500, 500), (700, 700)], "together"),
        ([(300, 310), (500, 510), (700, 710)], "together"),  # no checkpoint in between
        ([(300, 200), (500, 600), (700, 710)], "undecided"),
        ([(500, 500)], "together"),
        ([(500, 300)], "undecided"),  # one run proves no order
    ],
)
def test_the_order_is_that_of_the_interval_of_the_lag(pairs, order):
    assert transition_of(pairs).order == order


def test_the_resolution_is_the_widest_gap_around_a_change():
    sparse = run_of(500, 500)
    sparse = sparse[(sparse["update"] < 430) | (sparse["update"] >= 500)]
    assert find_transition([run_of(500, 500), sparse]).resolution == 80


def test_a_transition_is_sudden_if_all_curves_are():
    ramp = run_of(500, 500)
    ramp["value"] = ramp["update"] / 1000
    assert transition_of([(500, 500)]).sudden
    assert not find_transition([run_of(500, 500), ramp]).sudden


def test_a_curve_that_the_table_lacks_is_refused():
    message = "A table has no rows of ('y', 'next') (reader, source); it holds [('x', 'next'), ('x', 'others')]."
    with raises_exactly(ValueError, message):
        find_transition(run_of(500, 500), reader="y")
