"""The chapter on copying: who copies, when it formed, and nothing where there is nobody to copy from."""

from pathlib import Path

import pandas as pd
import pytest

import interp
from interp.attribution import ablation_effects, copying_heads
from interp.models.folders import load_folder
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter
from interp.report.copying import write_copying
from interp.report.finding import Finding
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.matching.runs import run_of
from tests.report.quick import quick_report


def chapter_of(model: HookedRegressor, n_prompts: int = 64) -> Chapter | None:
    prompts = model.task.sample(n_prompts)
    return write_copying(model, prompts, ablation_effects(model, prompts, n_draws=0), seed=0)


def findings_of(model: HookedRegressor) -> dict[str, Finding]:
    chapter = chapter_of(model)
    assert chapter is not None
    shown = [figure.table for figure in chapter.section.figures] + list(chapter.section.tables)
    assert set(shown) == set(chapter.tables)
    assert all(finding.reason for finding in chapter.findings)
    return {finding.id: finding for finding in chapter.findings}


@pytest.fixture(scope="module")
def learning(tmp_path_factory) -> Path:
    """A run that has learnt nothing until update 2 and copies from update 3 on."""
    copying = interp.load("copy:dim=3,points=6")
    untrained = copying.untrained_twin(0)
    checkpoints = {0: untrained, 1: untrained, 2: untrained, 3: copying, 4: copying, 6: copying}
    return run_of(tmp_path_factory.mktemp("runs") / "run", checkpoints)


@pytest.mark.parametrize(("make", "way"), [(x_reads_its_y, "x reads its y"), (y_reads_its_x, "y reads its x")])
def test_a_copying_head_is_named_with_what_it_copies(make, way):
    (finding,) = findings_of(make()).values()
    assert finding.id == "head.layer1.head0.copies"
    assert finding.claim == f"Head 0 of layer 1 copies: {way}, and the answer needs it for that"
    assert finding.verdict == "supported"
    assert finding.ci == pytest.approx((1, 1))
    content = way[-1]
    assert finding.details[f"what its weights make of {content}: size, gain in place"] == pytest.approx((1, 1))


def test_an_untrained_model_has_no_copying_head():
    (finding,) = findings_of(x_reads_its_y().untrained_twin(0)).values()
    assert (finding.id, finding.verdict) == ("head.copying", "refuted")


def test_the_labels_in_the_report_are_those_of_the_analysis():
    model = x_reads_its_y()
    chapter = chapter_of(model)
    assert chapter is not None
    pd.testing.assert_frame_equal(chapter.tables["copying"], copying_heads(model, model.task.sample(64)))


def test_the_transition_is_dated_by_the_checkpoints(learning):
    findings = findings_of(load_folder(learning))
    transition = findings["token.copying_transition"]
    assert transition.claim == (
        "In training its x tokens came to depend on the next token suddenly, and as the loss fell: between updates 2 "
        "and 3"
    )
    assert (transition.estimate, transition.ci, transition.verdict) == (0, (-1, 1), "supported")
    assert list(transition.controls) == ["dependency on each other token"]
    assert findings["head.layer1.head0.copies"].verdict == "supported"


def test_a_dependency_that_rises_long_before_the_loss_falls_is_no_transition_of_both(tmp_path):
    """It copies from update 2 on, but predicts 0 until it takes its gradient step at update 6."""
    blank, idle, copying = (interp.load("copy:dim=3,points=6") for _ in range(3))
    for model in (blank, idle):
        model.blocks[1].attn.W_O.data.zero_()
    blank.blocks[0].attn.W_O.data.zero_()
    folder = run_of(tmp_path / "run", {0: blank, 1: blank, 2: idle, 3: idle, 4: idle, 6: copying})
    transition = findings_of(load_folder(folder))["token.copying_transition"]
    assert (transition.estimate, transition.verdict) == (-3.5, "inconclusive")


def test_a_model_that_was_changed_since_is_not_followed(learning):
    model = load_folder(learning)
    model.blocks[1].attn.W_O.data *= 1.1
    assert "token.copying_transition" not in findings_of(model)


def test_there_is_no_chapter_where_there_is_nothing_to_copy():
    paired, copying = interp.load("gd"), x_reads_its_y()
    assert chapter_of(paired) is None
    assert write_copying(copying, copying.task.sample(64), None, seed=0) is None  # no hooked heads
    assert chapter_of(x_reads_its_y(points=3)) is None  # too short to tell right from wrong neighbours


@pytest.mark.slow
def test_the_report_of_an_interleaved_model_tells_of_copying_and_of_the_step_behind_it():
    report = quick_report("copy:dim=3,points=9")
    assert [section.title for section in report.sections][-1] == "Which heads copy"
    findings = {finding.id: finding for finding in report.findings}
    assert findings["head.layer1.head0.copies"].verdict == "supported"
    step = findings["algorithm.layer2.weights"]
    assert (step.details["solver"], step.details["step"], step.verdict) == ("gd", 1, "supported")
    shown = [figure.table for figure in report.figures]
    shown += [name for section in report.sections for name in section.tables]
    assert set(shown) == set(report.tables) - {"growth"}  # two layers follow no law
