"""Where a report comes from: enough to make it again."""

import platform
import re
from importlib.metadata import version

import interp
from interp.models.folders import describe_model, weights_checksum
from interp.report import ReportOptions
from tests.errors import raises_exactly


def test_the_model_is_named_with_its_origin_and_its_weights(record):
    model = interp.load("lsa-1layer")
    described = record["model"]
    assert (described["name"], described["source"], described["seed"]) == (
        "lsa-1layer",
        "zoo",
        describe_model(model).seed,
    )
    assert described["checksum"] == weights_checksum(model)
    assert described["config"]["n_layers"] == 1
    assert described["task"]["dim"] == 10
    assert described["recipe"]["name"] == "lsa-1layer"
    assert described["summary"] == (
        "A trained model of the zoo: 1 layer of linear attention, 1 head each, width 11, on in-context regression "
        "with inputs of dim 10 and up to 10 examples."
    )


def test_the_circumstances_are_enough_to_make_it_again(record):
    environment = record["environment"]
    assert environment["command"] == "interp report lsa-1layer"
    assert (environment["prompts"], environment["queries per prompt"], environment["prompt seed"]) == (64, 8, 0)
    assert environment["device"] == "cpu"
    versions = environment["versions"]
    assert versions["python"] == platform.python_version()
    for package in ("torch", "numpy", "transformer-lens"):
        assert versions[package] == version(package)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", environment["date"])
    assert environment["seconds"] > 0


def test_too_few_prompts_are_refused():
    with raises_exactly(ValueError, "A report needs at least 16 prompts to select and to estimate on, got 15."):
        ReportOptions(n_prompts=15)
