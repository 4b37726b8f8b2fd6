"""How far two predictors are apart under several shifts."""

import math

import numpy as np
import pytest

from interp.matching.apart import answer_distances, loss_factors
from interp.matching.shifts import ShiftedAnswers


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


def answers_at(distances: list[float], n_prompts: int = 400, seed: int = 0) -> ShiftedAnswers:
    """Two predictors whose answers differ by normal draws of these mean squares; targets have variance 4."""
    rng = np.random.default_rng(seed)
    targets = 2 * rng.standard_normal((len(distances), n_prompts))
    ours = rng.standard_normal(targets.shape)
    gaps = np.sqrt(distances)[:, None] * rng.standard_normal(targets.shape)
    return ShiftedAnswers({"ours": ours, "theirs": ours + gaps}, targets)


def test_the_distance_is_the_mean_squared_gap_over_the_mean_squared_target():
    found = answers_at([0.4, 4.0, 0.04])
    apart = answer_distances(found, "ours", "theirs")
    gaps = found.answers["ours"] - found.answers["theirs"]
    expected = [sum(g**2 for g in gap) / sum(t**2 for t in row) for gap, row in zip(gaps, found.targets, strict=True)]
    assert apart.by_shift.tolist() == pytest.approx(expected)
    assert apart.worst == 1
    assert apart.largest.estimate == pytest.approx(max(expected))
    assert apart.largest.low < apart.largest.estimate <= apart.largest.high


def test_equal_answers_are_no_distance_apart_and_answering_0_is_1_from_the_truth():
    found = answers_at([1.0, 1.0])
    assert answer_distances(found, "ours", "ours").largest.high < 1e-200
    truth = ShiftedAnswers({"truth": found.targets, "zero": 0 * found.targets}, found.targets)
    largest = answer_distances(truth, "truth", "zero").largest
    assert (largest.estimate, largest.low, largest.high) == pytest.approx((1, 1, 1))


def test_the_interval_of_the_largest_distance_holds_it():
    found = [
        answer_distances(answers_at([0.4] * 9 + [0.8], seed=seed), "ours", "theirs").largest for seed in range(100)
    ]
    assert sum(interval.low <= 0.2 <= interval.high for interval in found) >= 90


def test_an_answer_that_is_not_finite_is_infinitely_far():
    found = answers_at([0.4, 0.4])
    found.answers["ours"][1, 3] = np.inf
    found.answers["theirs"][1, 3] = np.inf
    apart = answer_distances(found, "ours", "theirs")
    assert apart.by_shift[0] < 1
    assert (apart.by_shift[1], apart.largest.low) == (math.inf, math.inf)
