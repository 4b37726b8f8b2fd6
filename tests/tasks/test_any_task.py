import json
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from interp._records import from_record, to_record
from interp.tasks import (
    AnyTask,
    ConditionNumber,
    DecisionTrees,
    LinearRegression,
    ReluNetworks,
    SineWaves,
    Task,
    garg_shifts,
)
from tests.errors import raises_exactly


@dataclass(frozen=True)
class Holder:
    """What holds a task, as a recipe does."""

    task: AnyTask


KINDS = "'linear_regression' or 'sine_waves' or 'relu_networks' or 'decision_trees'"
TASKS = [
    LinearRegression(),
    LinearRegression(inputs="laplace", normalize_context=True, distractors=3, covariance=ConditionNumber(value=4.0)),
    SineWaves(),
    SineWaves(n_points=4, low=-1.0, high=2.5, coupled=True),
    LinearRegression(sparsity=3, covariance=ConditionNumber(value=4.0, rotation="batch")),
    ReluNetworks(),
    ReluNetworks(dim=3, n_points=5, hidden=7),
    DecisionTrees(),
    DecisionTrees(dim=3, n_points=5, depth=2),
    *garg_shifts(LinearRegression(inputs="gaussian")).values(),
]


def test_it_lists_the_tasks_under_kinds_of_their_own():
    tasks = get_args(get_args(AnyTask)[0])
    assert all(isinstance(task(), Task) for task in tasks)
    assert len({task.kind for task in tasks}) == len(tasks) == 4


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_a_task_comes_back_from_json_as_it_was_alone_or_held(task):
    assert from_record(AnyTask, json.loads(json.dumps(to_record(task))), "the file") == task
    assert from_record(Holder, json.loads(json.dumps(to_record(Holder(task)))), "the file") == Holder(task)


def test_fields_that_a_record_lacks_have_their_defaults():
    """As have the run folders that were written before a field was added."""
    assert from_record(AnyTask, {"kind": "linear_regression", "dim": 3}, "the file") == LinearRegression(dim=3)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (
            {"kind": "linear_regression", "dim": "three"},
            "does not describe a valid LinearRegression: dim: Input should be a valid integer, "
            "unable to parse string as an integer.",
        ),
        (
            {"kind": "sine_waves", "coupled": "perhaps"},
            "does not describe a valid SineWaves: coupled: Input should be a valid boolean, unable to interpret input.",
        ),
        (
            {"kind": "sine_waves", "low": 7},
            "does not describe a valid SineWaves: `low` must lie below `high`, both finite; got 7.0 and 5.0.",
        ),
        (
            {"kind": "decision_trees", "depth": 0},
            "does not describe a valid DecisionTrees: `depth` must lie in 1..16 (a tree has 2^depth leaves), got 0.",
        ),
        ({"kind": "relu_networks", "depth": 3}, "has fields that ReluNetworks does not know: depth."),
        ({"kind": "sine_waves", "noise_std": 0.5}, "has fields that SineWaves does not know: noise_std."),
        *(
            (
                data,
                f"needs a field 'kind' that says what it describes, {KINDS}; got {came}.",
            )
            for data, came in [
                ({"dim": 3}, "none"),
                ({"kind": "cosine_waves"}, "'cosine_waves'"),
                ({"kind": ["sine_waves"]}, "['sine_waves']"),
                ("sine_waves", "none"),
            ]
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_of_the_kind_that_was_meant(data: Any, problem: str):
    with raises_exactly(ValueError, f"the file {problem}"):
        from_record(AnyTask, data, "the file")


def test_a_bad_field_of_a_held_task_is_named_under_its_kind_alone():
    with raises_exactly(
        ValueError,
        "the file does not describe a valid Holder: task.linear_regression.dim: Input should be a valid integer, "
        "unable to parse string as an integer.",
    ):
        from_record(Holder, {"task": {"kind": "linear_regression", "dim": "three"}}, "the file")
