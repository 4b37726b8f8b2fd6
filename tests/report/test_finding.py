import json

import pytest

from interp.report.chapter import count_of, judge_range
from tests.report.made_up import finding


def test_the_record_holds_every_part_as_plain_json():
    record = finding(
        id="algorithm.layer3",
        claim="Layer 3 predicts as gd after 3 steps",
        statistic="similarity_of_errors",
        estimate=0.991,
        ci=(0.989, 0.993),
        controls={"random_init": 0.41},
        alternatives=("gd++",),
        verdict="supported",
        reason="above",
        details={"step": 3, "skill": (0.9, 1.0), "of controls": {"random_init": 0.4}},
    ).to_record()
    assert json.loads(json.dumps(record)) == {
        "id": "algorithm.layer3",
        "claim": "Layer 3 predicts as gd after 3 steps",
        "statistic": "similarity_of_errors",
        "estimate": 0.991,
        "ci": [0.989, 0.993],
        "controls": {"random_init": 0.41},
        "alternatives": ["gd++"],
        "verdict": "supported",
        "reason": "above",
        "details": {"step": 3, "skill": [0.9, 1.0], "of controls": {"random_init": 0.4}},
    }


@pytest.mark.parametrize("missing", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_do_not_exist_are_null_wherever_they_stand(missing):
    record = finding(
        estimate=missing,
        ci=(missing, 1.0),
        controls={"random_init": missing},
        details={"r2": missing, "pair": (missing, 2.0), "inner": {"deep": [missing]}},
    ).to_record()
    assert record["estimate"] is None
    assert record["ci"] == [None, 1.0]
    assert record["controls"] == {"random_init": None}
    assert record["details"] == {"r2": None, "pair": [None, 2.0], "inner": {"deep": [None]}}


@pytest.mark.parametrize(
    ("ci", "verdict"),
    [
        ((0.99, 1.01), "supported"),
        ((0.98, 1.02), "supported"),  # the range's own ends lie inside
        ((0.97, 1.01), "inconclusive"),
        ((0.97, 1.03), "inconclusive"),
        ((0.90, 0.97), "refuted"),
        ((1.03, 1.10), "refuted"),
    ],
)
def test_a_range_is_judged_by_the_whole_interval(ci, verdict):
    assert judge_range(ci, 0.98, 1.02) == verdict


def test_one_is_singular():
    assert [count_of(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
