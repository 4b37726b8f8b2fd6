import json
from pathlib import Path

import pandas as pd
import pytest

from interp.sweeps import Sweep, TakenError
from interp.sweeps.analyses import HeldOutLoss, Measured
from interp.sweeps.folder import Outcome, opened
from tests.errors import raises_exactly
from tests.sweeps.sweep_files import small_sweep

pytestmark = pytest.mark.usefixtures("tiny")


def enter(sweep: Sweep, path: Path) -> None:
    """Open a sweep's folder, and close it again."""
    with opened(sweep, path):
        pass


def test_the_folder_says_what_was_asked_for(tmp_path):
    sweep = small_sweep()
    with opened(sweep, tmp_path / "s"):
        pass
    record = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert record == {"schema": "interp-sweep/1", **sweep.to_record()}
    assert [run["name"] for run in record["runs"]] == [
        f"n_layers={layers},seed={seed}" for layers in (1, 2) for seed in (0, 1)
    ]


def test_two_sweeps_at_once_are_refused(tmp_path):
    sweep = small_sweep()
    with (
        opened(sweep, tmp_path),
        pytest.raises(TakenError, match=rf"^The sweep in {tmp_path} is being written by process \d+ on "),
    ):
        enter(sweep, tmp_path)


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        raises_exactly(FileExistsError, f"{tmp_path} exists and is not a sweep of ours; give another --out."),
    ):
        enter(small_sweep(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_sweep_that_fails_before_any_run_began_leaves_the_folder_to_another(tmp_path):
    with pytest.raises(RuntimeError, match="no cluster"), opened(small_sweep(), tmp_path):
        raise RuntimeError("no cluster")
    enter(small_sweep(name="other"), tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["name"] == "other"


def test_a_sweep_that_began_a_run_keeps_its_note_whatever_fails_later(tmp_path):
    sweep = small_sweep()
    with opened(sweep, tmp_path) as folder:
        folder.run(sweep.runs[0]).mkdir()
    with pytest.raises(RuntimeError, match="no cluster"), opened(sweep, tmp_path):
        raise RuntimeError("no cluster")
    assert (tmp_path / "sweep.json").is_file()


MORE = {
    "a seed": {"seeds": [0, 1, 2]},
    "a value": {"grid": {"model.n_layers": [1, 2, 3]}},
    "an analysis": {"analyses": ["loss", "heads"]},
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
def test_a_sweep_goes_on_with_more_than_it_had(tmp_path, more):
    for sweep in (small_sweep(), small_sweep(), small_sweep(**more)):
        with opened(sweep, tmp_path):
            pass
    assert json.loads((tmp_path / "sweep.json").read_text())["runs"] == [run.to_record() for run in sweep.runs]


CONTRADICTIONS = {
    "name": ({"name": "other"}, "name 'small' there, 'other' here"),
    "precision": ({"precision": "bf16"}, "precision 'fp32' there, 'bf16' here"),
    "fewer seeds": ({"seeds": [1]}, "run n_layers=1,seed=0 there, not here; run n_layers=2,seed=0 there, not here"),
    "fewer analyses": ({"analyses": ["heads"], "options": {}}, "analysis 'loss' there, not here"),
    "options": ({"options": {"loss": {"n_prompts": 65}}}, "loss n_prompts 64 there, 65 here"),
    "fixed field": (
        {"fields": {"lr": 0.5}, "seeds": [0, 1]},
        "run n_layers=1,seed=0 of another recipe; run n_layers=1,seed=1 of another recipe; run n_layers=2,seed=0 of "
        "another recipe and 1 more differences",
    ),
}


@pytest.mark.parametrize(("changed", "difference"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_sweep_that_contradicts_what_is_there_is_refused(tmp_path, changed, difference):
    with opened(small_sweep(), tmp_path):
        pass
    before = (tmp_path / "sweep.json").read_text()
    with (
        raises_exactly(
            ValueError,
            f"{tmp_path} holds a sweep that this one contradicts ({difference}). Only runs and analyses may be added; "
            "take the change back, or give another --out.",
        ),
    ):
        enter(small_sweep(**changed), tmp_path)
    assert (tmp_path / "sweep.json").read_text() == before


UNREADABLE = {
    "{": "is not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); restore it, "
    "or give another --out.",
    '{"schema": "interp-sweep/9"}': "has schema 'interp-sweep/9', this version reads 'interp-sweep/1'; give another "
    "--out.",
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.items(), ids=["broken", "of another version"])
def test_a_record_that_cannot_be_read_is_refused(tmp_path, content, message):
    (tmp_path / "sweep.json").write_text(content)
    with raises_exactly(ValueError, f"{tmp_path / 'sweep.json'} {message}"):
        enter(small_sweep(), tmp_path)


def test_a_run_is_finished_when_it_has_its_weights_and_every_analysis(tmp_path):
    sweep = small_sweep(analyses=["loss", "heads"])
    run = sweep.runs[0]
    with opened(sweep, tmp_path) as folder:
        assert folder.status(run, sweep) == ("unfinished", "")
        folder.run(run).mkdir()
        (folder.run(run) / "model.safetensors").write_bytes(b"")
        for analysis in sweep.analyses:
            assert folder.status(run, sweep) == ("unfinished", "")
            folder.write_analysis(run, analysis, Measured(numbers={}, table=pd.DataFrame()))
        assert folder.status(run, sweep) == ("finished", "")


def test_an_outcome_stays_until_the_run_goes_on(tmp_path):
    sweep = small_sweep()
    run, other, *_ = sweep.runs
    with opened(sweep, tmp_path) as folder:
        folder.write_outcome(run, Outcome("diverged", "because"))
        assert folder.status(run, sweep) == ("diverged", "because")
        assert folder.status(other, sweep) == ("unfinished", "")
        folder.write_outcome(run, None)
        assert folder.status(run, sweep) == ("unfinished", "")


def test_what_an_analysis_found_comes_back_as_it_was(tmp_path: Path):
    sweep = small_sweep()
    run = sweep.runs[0]
    numbers: dict[str, float | int | str] = {"loss": 0.1 + 0.2, "step": 3, "solver": "gd"}
    table = pd.DataFrame({"layer": [0, 1], "x": [0.1 + 0.2, float("nan")], "name": ["a", "b"]})
    with opened(sweep, tmp_path) as folder:
        assert folder.read_analysis(run, HeldOutLoss()) is None
        folder.run(run).mkdir()
        folder.write_analysis(run, HeldOutLoss(), Measured(numbers=numbers, table=table))
        found = folder.read_analysis(run, HeldOutLoss())
    assert found is not None
    assert found.numbers == numbers
    pd.testing.assert_frame_equal(found.table, table)
