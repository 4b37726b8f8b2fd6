"""Out of distribution."""

import math
from dataclasses import replace

import numpy as np
import pytest

import interp
from interp.matching import compare_under_shift, shifts_of
from interp.matching.readouts import model_answers, problems_of
from interp.matching.shifts import LAWS, average_under_shift, loss_factors, losses_under_shift
from interp.models import descent_twin
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression, SineWaves
from tests.errors import raises_exactly

ETA, GAMMA = 0.3, 0.1


@pytest.fixture(scope="module")
def models():
    """An untrained model, two steps of GD and two of GD++, on one task."""
    model = interp.load("untrained:gd:steps=2,dim=3,seed=1")
    return {"model": model, **{n: descent_twin(model, [ETA] * 2, [g] * 2) for n, g in (("gd", 0.0), ("gd++", GAMMA))}}


@pytest.fixture(scope="module")
def table(models):
    return compare_under_shift(models, shifts_of(models["model"].task), n_prompts=64, seed=5)


def loss_at(table, shift, value, predictor) -> float:
    (loss,) = table[(table["shift"] == shift) & (table["value"] == value) & (table["predictor"] == predictor)]["loss"]
    return float(loss)


def test_the_shifts_begin_at_the_task_itself():
    task = LinearRegression(dim=3, n_points=6, input_scale=2.0, weight_scale=3.0)
    shifts = {(shift.kind, shift.value): shift.task for shift in shifts_of(task)}
    for where in (("input scale", 1.0), ("weight scale", 1.0), ("label noise", 0.0), ("distractors", 0.0)):
        assert shifts[where] == task
    assert shifts["input scale", 0.5] == replace(task, input_scale=1.0)
    assert shifts["weight scale", 5.0] == replace(task, weight_scale=15.0)
    assert max(shift.value for shift in shifts_of(task) if shift.kind == "distractors") == 5  # it has no more examples


@pytest.mark.parametrize("law", LAWS)
def test_contexts_of_another_law_are_as_long_as_the_tasks_own_are_on_average(law):
    task = LinearRegression(dim=3, n_points=6, input_scale=2.0)
    (shifted,) = (shift.task for shift in shifts_of(task) if shift.value == law)
    contexts = shifted.sample(16).xs[:, :-1]
    assert contexts.norm(dim=(1, 2)).tolist() == pytest.approx([math.sqrt(5 * 3 * task.input_variance)] * 16)
    assert shifted.input_variance == pytest.approx(task.input_variance)


def test_only_linear_regression_is_shifted():
    with raises_exactly(ValueError, "These shifts move the law of linear regression; the task is SineWaves."):
        shifts_of(SineWaves(n_points=5))


@pytest.mark.parametrize("kind", ["input scale", "weight scale"])
def test_a_scale_of_1_gives_the_losses_of_the_tasks_own_prompts(models, table, kind):
    for name, model in models.items():
        prompts = model.task.sample(64, seed=5)
        errors = model_answers(model, prompts) - problems_of(model, prompts).targets
        assert loss_at(table, kind, 1.0, name) == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-6)


def test_a_twins_losses_are_its_algorithms(models, table):
    solvers = {"gd": make_solver("gd", lr=ETA, normalize="sum"), "gd++": make_solver("gd++", lr=ETA, gamma=GAMMA)}
    for shift in shifts_of(models["gd"].task):
        problems = Regressions.of(shift.task.sample(64, seed=5))
        for name, solver in solvers.items():
            errors = solver.predict(problems, [2])[0] - problems.targets
            expected = 0.5 * errors.square().mean().item()
            assert loss_at(table, shift.kind, shift.value, name) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["gd", "gd++"])
@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_the_loss_of_a_predictor_linear_in_y_grows_with_the_square_of_the_weights(table, name, scale):
    expected = scale**2 * loss_at(table, "weight scale", 1.0, name)
    assert loss_at(table, "weight scale", scale, name) == pytest.approx(expected, rel=1e-5)


def test_the_table_has_every_predictor_under_every_shift(models, table):
    shifts = shifts_of(models["model"].task)
    assert len(table) == len(shifts) * len(models)
    assert list(table.columns) == ["shift", "value", "predictor", "loss", "ci_low", "ci_high"]
    assert ((table["ci_low"] <= table["loss"]) & (table["loss"] <= table["ci_high"])).all()


def test_the_table_averages_the_losses_of_the_prompts(models, table):
    shifts = shifts_of(models["model"].task)
    losses = losses_under_shift(models, shifts, n_prompts=64, seed=5)
    assert {values.shape for values in losses.values()} == {(len(shifts), 64)}
    assert average_under_shift(losses, shifts).equals(table)


@pytest.fixture
def losses():
    """Of two predictors under 4 shifts, on 50 prompts."""
    draws = np.random.default_rng(0).exponential(size=(2, 4, 50))
    return draws[0], draws[1]


def test_equal_losses_differ_by_a_factor_of_1(losses):
    factors = loss_factors(losses[0], losses[0])
    assert factors.by_shift.tolist() == [1, 1, 1, 1]
    assert (factors.largest.estimate, factors.largest.low, factors.largest.high) == (1, 1, 1)


def test_the_factor_counts_up_and_down_alike(losses):
    ours, theirs = losses
    one, other = loss_factors(ours, theirs), loss_factors(theirs, ours)
    assert one.by_shift.tolist() == pytest.approx(other.by_shift.tolist())
    assert (one.largest.low, one.largest.high) == pytest.approx((other.largest.low, other.largest.high))
    assert one.worst == other.worst == one.by_shift.argmax()
    assert one.largest.low <= one.largest.estimate == one.by_shift.max() <= one.largest.high


def test_a_constant_factor_is_known_exactly(losses):
    factors = loss_factors(losses[0] * np.array([1, 2, 1 / 3, 1])[:, None], losses[0])
    assert factors.by_shift.tolist() == pytest.approx([1, 2, 3, 1])
    assert factors.worst == 2
    assert (factors.largest.low, factors.largest.high) == pytest.approx((3, 3))


def test_the_interval_holds_the_true_largest_factor_although_it_is_picked():
    """Ten shifts at which the expected losses are equal: the largest factor in the sample is always above 1."""
    rng = np.random.default_rng(1)
    found = [loss_factors(*rng.exponential(size=(2, 10, 100))).largest for _ in range(100)]
    assert min(interval.estimate for interval in found) > 1
    assert sum(interval.low == 1 for interval in found) >= 90


def test_the_interval_holds_a_true_factor_that_stands_out():
    rng = np.random.default_rng(2)
    true = np.ones((10, 1))
    true[3] = 1.5
    found = [loss_factors(true * draws[0], draws[1]).largest for draws in rng.exponential(size=(100, 2, 10, 100))]
    assert sum(interval.low <= 1.5 <= interval.high for interval in found) >= 90


def test_one_loss_that_is_not_finite_is_infinitely_far_and_two_say_nothing(losses):
    ours, theirs = (values.copy() for values in losses)
    ours[1, 0] = theirs[1, 3] = np.inf
    factors = loss_factors(ours, theirs)
    assert factors.by_shift[1] == 1
    assert math.isfinite(factors.largest.high)
    ours[2, 0] = np.nan
    factors = loss_factors(ours, theirs)
    assert factors.by_shift.tolist() == [1, 1, math.inf, 1]
    assert factors.worst == 2
    assert factors.largest.low == math.inf


def test_where_nothing_is_finite_nothing_is_known(losses):
    nowhere = np.full((4, 50), np.inf)
    largest = loss_factors(nowhere, nowhere).largest
    assert (largest.low, largest.high) == (1, math.inf)
