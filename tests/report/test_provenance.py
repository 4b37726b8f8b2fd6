"""Where a report comes from: enough to make it again."""

import platform
import re
from importlib import import_module
from importlib.metadata import version

import pytest

import interp
from interp.models.folders import describe_model, weights_checksum
from interp.report import ReportOptions, build
from interp.report.chapter import Chapter
from interp.report.document import Section
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


@pytest.fixture
def no_analyses(monkeypatch):
    """Chapters say nothing, at once."""
    module = import_module("interp.report.build")  # the package has a function of this name
    for name in ("write_learned", "write_training", "write_layers", "write_algorithm", "write_tokens"):
        chapter = Chapter(section=Section(title=name, introduction=""))
        monkeypatch.setattr(module, name, lambda *arguments, chapter=chapter: chapter)


@pytest.mark.usefixtures("no_analyses")
def test_prompts_that_were_given_are_counted_and_said_to_be_given():
    model = interp.load("gd:dim=2")
    environment = build(model, model.task.sample(17, n_queries=3)).environment
    assert (environment["prompts"], environment["queries per prompt"]) == (17, 3)
    assert environment["prompt seed"] == "prompts were given"
    assert environment["command"] == "interp.report.build"


@pytest.mark.usefixtures("no_analyses")
def test_a_model_without_a_known_origin_is_named_by_its_class():
    model = interp.load("gd:dim=2")
    model.info = None
    described = build(model, options=ReportOptions(n_prompts=16)).model
    assert (described["name"], described["source"], described["seed"]) == ("RegressionTransformer", "python", None)
    assert described["checksum"] is described["recipe"] is described["trained with"] is None


@pytest.mark.parametrize("n_prompts", [1, 15])
def test_too_few_prompts_are_refused(n_prompts):
    model = interp.load("gd:dim=2")
    message = f"A report needs at least 16 prompts to select and to estimate on, got {n_prompts}."
    with raises_exactly(ValueError, message):
        build(model, options=ReportOptions(n_prompts=n_prompts))
    with raises_exactly(ValueError, message):
        build(model, model.task.sample(n_prompts))
