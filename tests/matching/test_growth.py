"""How best steps grow from layer to layer: known laws are found, and nothing is concluded from too little."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.matching import GrowthLaw, fit_growth, similarity_of_errors
from interp.matching.growth import DECISIVE, INFORMED, growth_of_best_steps
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression
from tests.errors import raises_exactly

LINEAR = np.array([3.0, 5, 7, 9, 11, 13])
DOUBLING = np.array([3.0, 6, 12, 24, 48, 96])


def law_of(steps: np.ndarray, resampled: np.ndarray | None = None) -> GrowthLaw:
    """The law of layers that are all usable; unless given, resamples choose the same steps."""
    steps = np.asarray(steps, dtype=np.float64)
    drawn = np.tile(steps, (20, 1)) if resampled is None else resampled
    return fit_growth(steps, drawn, np.ones(len(steps), dtype=np.bool_))


def test_steps_that_grow_by_as_many_each_layer_follow_the_linear_law():
    law = law_of(LINEAR)
    assert law.law == "linear"
    assert law.per_layer.estimate == pytest.approx(2, rel=0.04)  # slopes are found on a grid of ratios 6 % apart
    assert (law.per_layer.low, law.per_layer.high) == pytest.approx((law.per_layer.estimate,) * 2)
    assert law.aic_difference.high < -DECISIVE
    assert law.reason == "Akaike's criterion prefers it to the exponential law in the whole interval"


def test_steps_that_double_each_layer_follow_the_exponential_law_of_factor_2():
    law = law_of(DOUBLING)
    assert law.law == "exponential"
    assert law.factor.estimate == pytest.approx(2)
    assert (law.factor.low, law.factor.high) == pytest.approx((2, 2))
    assert law.aic_difference.low > DECISIVE
    assert law.reason == "Akaike's criterion prefers it to the linear law in the whole interval"


@given(
    start=st.floats(1, 50),
    ratio=st.floats(0.3, 3),
    factor=st.floats(1.5, 4),
    n_layers=st.integers(6, 12),
)
def test_each_law_is_told_from_the_other(start, ratio, factor, n_layers):
    layers = np.arange(n_layers)
    linear, exponential = law_of(start * (1 + ratio * layers)), law_of(start * factor**layers)
    assert linear.law == "linear"
    assert linear.per_layer.estimate == pytest.approx(start * ratio, rel=0.06)
    assert exponential.law == "exponential"
    assert exponential.factor.estimate == pytest.approx(factor, rel=1e-6)


@given(unit=st.floats(0.1, 100), seed=st.integers(0, 1000))
def test_counting_in_other_units_changes_the_slope_alone(unit, seed):
    steps = np.random.default_rng(seed).uniform(1, 30, 7)
    plain, scaled = law_of(steps), law_of(unit * steps)
    assert scaled.law == plain.law
    assert scaled.factor.estimate == pytest.approx(plain.factor.estimate)
    assert scaled.aic_difference.estimate == pytest.approx(plain.aic_difference.estimate, abs=1e-9)
    assert scaled.per_layer.estimate == pytest.approx(unit * plain.per_layer.estimate)


@pytest.mark.parametrize("steps", [[4.0] * 6, [9.0, 7, 5, 4, 3, 2]], ids=["constant", "falling"])
def test_steps_that_do_not_grow_decide_nothing(steps):
    law = law_of(np.array(steps))
    assert law.law == "undecided"
    assert law.factor.estimate == 1
    assert law.per_layer.estimate == 0
    assert law.aic_difference.estimate == pytest.approx(0)
    assert law.reason == f"Akaike's criterion does not tell the laws apart by {DECISIVE:g} in the whole interval"


def test_a_law_that_only_some_resamples_follow_is_undecided():
    drawn = np.concatenate([np.tile(DOUBLING, (18, 1)), np.tile(LINEAR, (2, 1))])
    law = law_of(DOUBLING, drawn)
    assert law.law == "undecided"
    assert law.aic_difference.low < -DECISIVE < DECISIVE < law.aic_difference.high
    assert law.factor.low < law.factor.estimate == pytest.approx(2)


def test_noisy_steps_decide_nothing():
    noisy = LINEAR * np.random.default_rng(0).lognormal(sigma=0.5, size=(200, 6))
    law = law_of(noisy[0], noisy)
    assert law.law == "undecided"


def test_a_resample_may_choose_step_0():
    drawn = np.tile(LINEAR, (20, 1))
    drawn[0, 0] = 0
    assert np.isfinite([law_of(LINEAR, drawn).per_layer.high, law_of(LINEAR, drawn).aic_difference.low]).all()


def test_layers_keep_their_distances_where_some_are_left_out():
    usable = np.array([True, False, True, True, False, True, True])
    steps = np.linspace(3, 15, 7)
    law = fit_growth(np.where(usable, steps, 500.0), np.tile(steps, (20, 1)), usable)
    assert (law.law, law.layers, law.steps) == ("linear", (0, 2, 3, 5, 6), (3, 7, 9, 13, 15))
    assert law.per_layer.estimate == pytest.approx(2, rel=0.04)
    named = fit_growth(steps, np.tile(steps, (20, 1)), usable, layers=range(10, 17))
    assert named.layers == (10, 12, 13, 15, 16)
    assert named.per_layer == law.per_layer


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_layers_decide_nothing(count):
    usable = np.arange(6) < count
    law = fit_growth(DOUBLING, np.tile(DOUBLING, (20, 1)), usable)
    assert (law.law, law.layers) == ("undecided", tuple(range(count)))
    assert np.isnan([law.per_layer.estimate, law.factor.low, law.aic_difference.high]).all()
    assert law.reason == f"layers that are informed and matched within the steps tried: {count}; a law takes 4"


def test_usable_steps_are_positive():
    with raises_exactly(
        ValueError, "Growth is fitted to positive step counts, got [0.0, 1.0, 2.0, 3.0]; leave layers at 0 out."
    ):
        law_of(np.arange(4.0))


def test_a_row_of_a_table_holds_the_law_and_its_intervals():
    law = law_of(DOUBLING)
    row = law.to_row()
    assert (row["law"], row["layers"], row["steps"]) == ("exponential", "0,1,2,3,4,5", "3,6,12,24,48,96")
    assert row["factor"] == law.factor.estimate
    assert (row["per_layer_low"], row["aic_difference_high"]) == (law.per_layer.low, law.aic_difference.high)
    assert row["reason"] == law.reason


# From similarities to steps

GRID = (0, 1, 2, 3, 4, 5, 6, 7, 8)


def peaked(best: list[int], grid: tuple[int, ...] = GRID) -> np.ndarray:
    """Similarities [layer step] that are highest at the given step of each layer."""
    return 1 - 0.01 * np.abs(np.array(best)[:, None] - np.array(grid))


def growth_of(best: list[int], skill: np.ndarray | float = 0.5, grid: tuple[int, ...] = GRID) -> GrowthLaw:
    similarity = peaked(best, grid)
    return growth_of_best_steps(
        grid, similarity, np.tile(similarity, (20, 1, 1)), np.broadcast_to(skill, similarity.shape)
    )


def test_the_embedding_counts_for_nothing():
    law = growth_of([5, 1, 2, 3, 4])
    assert (law.law, law.layers, law.steps) == ("linear", (1, 2, 3, 4), (1, 2, 3, 4))


def test_layers_matched_at_the_ends_of_the_grid_are_left_out():
    law = growth_of([0, 0, 1, 2, 3, 4, 8])
    assert law.layers == (2, 3, 4, 5)
    assert growth_of([0, 1, 2, 3, 4, 8], grid=(*GRID, 9)).layers == (1, 2, 3, 4, 5)


def test_layers_at_which_more_steps_change_nothing_are_left_out():
    """Of a solver that has converged any number of steps is best, and the fewest of them say nothing of growth."""
    similarity = peaked([1, 1, 2, 3, 4, 6])
    converged = GRID.index(6)
    similarity[-1, converged:] = similarity[-1, converged]
    similarity[-1, converged + 1] += 1e-15  # rounding
    law = growth_of_best_steps(GRID, similarity, np.tile(similarity, (20, 1, 1)), np.full_like(similarity, 0.5))
    assert law.layers == (1, 2, 3, 4)


def test_layers_that_a_solver_explains_no_better_than_chance_are_left_out():
    skill = np.full((6, len(GRID)), 0.5)
    skill[3] = INFORMED
    assert growth_of([0, 1, 2, 3, 4, 5], skill).layers == (1, 2, 4, 5)
    skill[3] = np.nan
    assert growth_of([0, 1, 2, 3, 4, 5], skill).layers == (1, 2, 4, 5)


def test_skill_counts_at_the_best_step_alone():
    skill = np.zeros((6, len(GRID)))
    skill[np.arange(6), np.arange(6)] = 0.5
    assert growth_of([0, 1, 2, 3, 4, 5], skill).layers == (1, 2, 3, 4, 5)


def test_a_step_at_which_the_solver_diverged_is_never_the_best():
    similarity = peaked([0, 1, 2, 3, 4])
    similarity[:, 5:] = np.nan
    law = growth_of_best_steps(GRID, similarity, np.tile(similarity, (20, 1, 1)), np.full(similarity.shape, 0.5))
    assert law.steps == (1, 2, 3, 4)


def test_the_order_in_which_steps_are_tried_does_not_matter():
    order = (3, 0, 8, 1, 5, 2, 7, 4, 6)
    assert growth_of([0, 1, 2, 3, 4], grid=order) == growth_of([0, 1, 2, 3, 4])


def test_newtons_steps_are_matched_by_twice_as_many_gradient_steps_each():
    """k Newton steps from eta I are 2^k gradient steps of size eta: one grows linearly, the other exponentially."""
    prompts = LinearRegression(dim=4, n_points=10, inputs="gaussian").sample(32, seed=1).to(dtype=torch.float64)
    problems = Regressions.every_prefix(prompts.xs, prompts.ys)
    eta = 0.05 / problems.spectrum.top
    newton = make_solver("newton", start="identity", alpha=eta)
    layers = newton.predict(problems, range(8))
    grids = {"newton": range(10), "gd": [2**k for k in range(10)] + [3 * 2**k for k in range(9)]}
    laws = {}
    for name, solver in (("newton", newton), ("gd", make_solver("gd", lr=eta, normalize="sum"))):
        steps = sorted(grids[name])
        similarity = similarity_of_errors(layers, solver.predict(problems, steps), problems.targets).mean(-1).numpy()
        laws[name] = growth_of_best_steps(
            steps, similarity, np.tile(similarity, (20, 1, 1)), np.full(similarity.shape, 0.5)
        )
    assert (laws["newton"].law, laws["gd"].law) == ("linear", "exponential")
    assert laws["newton"].steps == tuple(range(1, 8))
    assert laws["gd"].steps == tuple(2**k for k in range(1, 8))
    assert laws["newton"].per_layer.estimate == pytest.approx(1)
    assert laws["gd"].factor.estimate == pytest.approx(2)
