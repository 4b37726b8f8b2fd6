import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.reproduce.claims import claim_range, claim_share, wilson
from probes import Interval


def judged(values, **bounds):
    return claim_range("fig.claim", "It holds", "number", values, **bounds)


def test_a_claim_is_supported_where_the_whole_interval_over_seeds_lies_in_the_range():
    finding = judged([0.99, 1.0, 1.01], low=0.9, high=1.1)
    assert finding.verdict == "supported"
    assert finding.details["per seed"] == [0.99, 1.0, 1.01]


def test_a_claim_is_refuted_where_none_of_the_interval_does():
    assert judged([0.99, 1.0, 1.01], high=0.5).verdict == "refuted"
    assert judged([0.99, 1.0, 1.01], low=1.5).verdict == "refuted"


def test_a_claim_is_left_open_where_the_interval_straddles_an_end():
    assert judged([0.8, 1.0, 1.2], high=1.0).verdict == "inconclusive"


def test_the_interval_over_seeds_is_that_of_a_t_test():
    values = [0.3, 0.5, 0.1, 0.4]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert judged(values).ci == pytest.approx((expected.low, expected.high))


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6), st.floats(1e-3, 1e3))
def test_a_ratio_and_its_inverse_are_one_claim(ratios, scale):
    finding, inverse = judged(ratios, ratio=True), judged([1 / ratio for ratio in ratios], ratio=True)
    assert finding.estimate == pytest.approx(stats.gmean(ratios))
    assert (inverse.estimate, *inverse.ci) == pytest.approx((1 / finding.estimate, *(1 / e for e in finding.ci[::-1])))
    scaled = judged([scale * ratio for ratio in ratios], ratio=True)
    assert (scaled.estimate, *scaled.ci) == pytest.approx(tuple(scale * e for e in (finding.estimate, *finding.ci)))


def test_ratios_that_differ_by_orders_of_magnitude_are_told_from_one():
    walls = [125.0, 10.0, 25.0]
    assert judged(walls, high=1.01).verdict == "inconclusive"  # the interval of their mean reaches below 0
    assert judged(walls, high=1.01, ratio=True).verdict == "refuted"


def test_a_ratio_of_zero_has_no_logarithm_and_leaves_the_claim_open():
    assert judged([0.5, 0.0], high=1.0, ratio=True).verdict == "inconclusive"


def test_a_single_run_is_judged_by_its_interval_over_prompts():
    finding = judged(Interval(1.0, 0.95, 1.05), low=0.9)
    assert finding.verdict == "supported" and finding.ci == (0.95, 1.05)
    assert "one run" in finding.reason and "per seed" not in finding.details


def test_several_runs_with_intervals_are_judged_over_seeds_and_each_by_itself():
    runs = [Interval(0.5, 0.4, 0.6), Interval(0.7, 0.6, 1.2), Interval(0.9, 0.8, 0.95)]
    finding = judged(runs, high=1.0)
    assert finding.ci == judged([run.estimate for run in runs], high=1.0).ci
    assert finding.verdict == "inconclusive"  # three seeds make a wide interval
    assert finding.reason.endswith("the seeds are: supported, inconclusive, supported")
    assert finding.details["per seed"] == [0.5, 0.7, 0.9]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_run_without_a_number_leaves_the_claim_open(bad):
    assert judged([0.5, bad, 0.5], high=1.0).verdict == "inconclusive"


def test_one_seed_is_no_spread():
    with pytest.raises(ValueError, match="at least 2"):
        judged([1.0])


def test_three_of_three_seeds_leave_open_whether_most_would_and_ten_of_ten_do_not():
    def share(held):
        return claim_share("fig.share", "Most do", "share", held).verdict

    assert share([True] * 3) == "inconclusive"
    assert share([True] * 10) == "supported"
    assert share([False] * 10) == "refuted"


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share_is_scipys(counts):
    successes, trials = counts
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)
