import json
import platform

import pytest

from interp.models import load_folder
from interp.models.folders import weights_checksum
from interp.sweeps import TakenError, worker
from interp.sweeps.analyses import HeldOutLoss
from interp.sweeps.folder import SweepFolder, opened
from interp.sweeps.lock import locked, owners
from interp.training import checkpoint_steps, train
from interp.training import loop as loop_module
from tests.errors import raises_exactly
from tests.sweeps.sweep_files import small_sweep

pytestmark = pytest.mark.usefixtures("tiny", "unchecked")


@pytest.fixture
def sweep():
    return small_sweep()


@pytest.fixture
def folder(sweep, tmp_path) -> SweepFolder:
    """A folder made ready for the sweep."""
    with opened(sweep, tmp_path / "s") as place:
        return place


def do(run, sweep, folder) -> None:
    worker.do_run(run, sweep.analyses, folder, worker.Manner())


def test_a_run_is_trained_and_analysed(sweep, folder):
    run = sweep.runs[1]
    do(run, sweep, folder)
    assert folder.status(run, sweep) == ("finished", "")
    model = load_folder(folder.run(run))
    assert weights_checksum(model) == weights_checksum(train(run.recipe, seed=run.seed))
    found = folder.read_analysis(run, sweep.analyses[0])
    assert found is not None
    assert found.numbers == sweep.analyses[0].measure(model).numbers
    assert len(owners(folder.lock(run))) == 1


def test_a_later_analysis_is_added_without_training(sweep, folder, monkeypatch):
    run = sweep.runs[0]
    do(run, sweep, folder)
    before = folder.run(run) / "analyses" / "loss.json"
    written = before.stat().st_mtime_ns
    monkeypatch.setattr(loop_module, "_update", None)  # any update would fail
    more = small_sweep(analyses=["loss", "heads"])
    assert folder.status(run, more) == ("unfinished", "")
    do(run, more, folder)
    assert folder.status(run, more) == ("finished", "")
    assert before.stat().st_mtime_ns == written


def test_a_run_that_diverges_says_so_without_saying_where(folder, sweep):
    diverging = small_sweep(fields={"lr": 1e20, "warmup": 0, "clip_norm": "none", "schedule": "constant"})
    run = diverging.runs[0]
    do(run, diverging, folder)
    status, reason = folder.status(run, diverging)
    assert status == "diverged"
    assert reason.startswith("Training diverged: the loss is ")
    assert reason.endswith("; the checkpoints in runs/n_layers=1,seed=0 stay.")


def test_an_analysis_that_raises_fails_the_run_and_keeps_the_model(sweep, folder, monkeypatch):
    def fail(analysis, model):
        raise RuntimeError("no memory left")

    run = sweep.runs[0]
    with monkeypatch.context() as patch:
        patch.setattr(HeldOutLoss, "measure", fail)
        do(run, sweep, folder)
    assert folder.status(run, sweep) == ("failed", "RuntimeError: no memory left")
    assert "in fail" in folder.trace(run).read_text()
    written = (folder.run(run) / "model.safetensors").stat().st_mtime_ns
    do(run, sweep, folder)
    assert folder.status(run, sweep) == ("finished", "")
    assert not folder.trace(run).exists()
    assert (folder.run(run) / "model.safetensors").stat().st_mtime_ns == written


def test_a_run_that_another_worker_has_is_left_to_it(sweep, folder, monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE", 0.1)
    run = sweep.runs[0]
    with (
        locked(folder.lock(run), "It"),
        pytest.raises(TakenError, match=rf"^The run {run.name} is being written by process \d+ on "),
    ):
        do(run, sweep, folder)
    assert not folder.run(run).exists()


def test_a_folder_of_another_recipe_fails_the_run_and_stays(sweep, folder):
    run, other, *_ = sweep.runs
    train(run.recipe, folder.run(other), seed=7)
    before = json.loads((folder.run(other) / "config.json").read_text())
    do(other, sweep, folder)
    status, reason = folder.status(other, sweep)
    assert status == "failed"
    assert reason.startswith(f"runs/{other.name} holds a run of another recipe")
    assert json.loads((folder.run(other) / "config.json").read_text()) == before


def test_a_machine_that_does_not_see_the_folder_says_so(sweep, tmp_path):
    with raises_exactly(
        ValueError,
        f"The machine {platform.node()} does not see the sweep's folder {tmp_path / 's'}; give an --out that all "
        "machines of the cluster see under the same path.",
    ):
        do(sweep.runs[0], sweep, SweepFolder(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_a_worker_that_died_on_the_first_file_is_no_hindrance(sweep, folder):
    run = sweep.runs[0]
    folder.run(run).mkdir()
    (folder.run(run) / ".config.json.x1y2").write_text('{"schema": "interp')
    do(run, sweep, folder)
    assert folder.status(run, sweep) == ("finished", "")
    assert checkpoint_steps(folder.run(run))[-1] == run.recipe.steps
