import json
import shutil
from pathlib import Path

import jaxtyping
import pytest

from interp.models import load_folder
from interp.models.folders import weights_checksum
from interp.training import DivergedError, Recipe, Run, checkpoint_steps, many, train, train_many
from interp.training.metrics import METRICS, read_metrics
from tests.errors import raises_exactly
from tests.training.recipes import tiny_recipe, train_and_stop

DIVERGING = tiny_recipe(name="diverging", lr=1e20, warmup=0, clip_norm=None, schedule="constant")
WANTED = [(DIVERGING, 0), (tiny_recipe(), 2), (tiny_recipe(), 0), (tiny_recipe(), 1)]
MARK = 123.0
"""A loss that no training writes."""


def written_at(folder: Path) -> dict[str, int]:
    """When each file was last written, in nanoseconds."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Four runs at once, each in one thread: one diverges, one is new, one was finished and one interrupted.

    Comes with when the files of the finished one had been written before.
    """
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        train(tiny_recipe(), folder / "tiny-seed0", seed=0)
        train_and_stop(tiny_recipe(), folder / "tiny-seed1", seed=1, after=12)
        log = folder / "tiny-seed1" / METRICS
        rows = read_metrics(log.parent)
        log.write_text("".join(json.dumps(row | {"loss": MARK}) + "\n" for row in rows))
        before = written_at(folder / "tiny-seed0")
        patch.setattr("interp.training.many.usable_cores", lambda: 1)  # a thread for each run, as in the tests
        return train_many(WANTED, folder, jobs=2), before


@pytest.fixture
def no_processes(monkeypatch):
    """Nothing may be trained, but in this very process."""

    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(many, "ProcessPoolExecutor", refuse)


def test_runs_come_back_in_the_order_asked_for(trained):
    runs, _ = trained
    assert [(run.recipe, run.seed) for run in runs] == WANTED
    assert [run.folder.name for run in runs] == ["diverging-seed0", "tiny-seed2", "tiny-seed0", "tiny-seed1"]


def test_every_run_ends_with_the_weights_of_one_trained_alone(trained):
    for run in trained[0][1:]:
        alone = train(run.recipe, seed=run.seed)
        assert weights_checksum(load_folder(run.folder)) == weights_checksum(alone)
        assert not run.failure


def test_a_finished_run_is_not_written_to(trained):
    runs, before = trained
    assert written_at(runs[2].folder) == before


def test_an_unfinished_run_goes_on_from_where_it_stopped(trained):
    """What it had logged by its last checkpoint is still there."""
    losses = [row["loss"] for row in read_metrics(trained[0][3].folder)]
    assert len(losses) == 40
    assert losses[:10] == [MARK] * 10
    assert MARK not in losses[10:]


def test_a_run_that_diverges_says_why_and_stops_no_other(trained, tmp_path):
    run = trained[0][0]
    with pytest.raises(DivergedError) as alone:
        train(DIVERGING, tmp_path / "alone")
    assert run.failure == str(alone.value).replace(str(tmp_path / "alone"), str(run.folder))
    assert run.failure.startswith("Training diverged: the loss is ")
    assert checkpoint_steps(run.folder)[0] == 0
    assert not (run.folder / "model.safetensors").exists()


@pytest.mark.usefixtures("no_processes")
def test_one_at_a_time_they_need_no_process_and_end_the_same(tmp_path, trained):
    together, _ = trained
    runs = train_many(WANTED[:2], tmp_path, jobs=1)
    assert [bool(run.failure) for run in runs] == [True, False]
    assert runs[0].failure == together[0].failure.replace(str(together[0].folder), str(runs[0].folder))
    ours, theirs = (weights_checksum(load_folder(run.folder)) for run in (runs[1], together[1]))
    assert ours == theirs


@pytest.mark.usefixtures("no_processes")
def test_where_all_is_there_nothing_is_trained(tmp_path):
    recipe = tiny_recipe(steps=4)
    for seed in (0, 1):
        train(recipe, tmp_path / f"tiny-seed{seed}", seed=seed)
    before = written_at(tmp_path)
    runs = train_many([(recipe, 1), (recipe, 0), (recipe, 1)], tmp_path)
    assert runs == [Run(recipe, seed, tmp_path / f"tiny-seed{seed}") for seed in (1, 0, 1)]
    assert written_at(tmp_path) == before
    assert train_many([], tmp_path) == []


@pytest.mark.usefixtures("no_processes")
def test_a_finished_run_without_its_checkpoints_is_not_trained_again(tmp_path):
    recipe = tiny_recipe(steps=4)
    train(recipe, tmp_path / "tiny-seed0")
    shutil.rmtree(tmp_path / "tiny-seed0" / "checkpoints")
    before = written_at(tmp_path)
    train_many([(recipe, 0)], tmp_path)
    assert written_at(tmp_path) == before


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_with_another_recipes_run_is_refused_before_anything_is_trained(tmp_path, finished):
    theirs = tiny_recipe(lr=0.5)
    folder = tmp_path / "tiny-seed0"
    if finished:
        train(theirs, folder)
    else:
        train_and_stop(theirs, folder, after=3)
    before = written_at(tmp_path)
    new: Recipe = tiny_recipe(name="new")
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe, seed or precision (lr 0.5 there, 0.001 here); "
        "resume with the same ones, or give another --out.",
    ):
        train_many([(new, 0), (tiny_recipe(), 0)], tmp_path)
    assert written_at(tmp_path) == before


@pytest.mark.usefixtures("no_processes")
def test_a_folder_that_is_no_run_is_refused_before_anything_is_trained(tmp_path):
    folder = tmp_path / "tiny-seed0"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with raises_exactly(FileNotFoundError, f"{folder} is not a run folder: it has no config.json."):
        train_many([(tiny_recipe(), 0)], tmp_path)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


@pytest.mark.usefixtures("no_processes")
def test_two_recipes_of_one_name_are_refused(tmp_path):
    with raises_exactly(
        ValueError,
        f"Two different recipes are named 'tiny' and would both train into {tmp_path / 'tiny-seed0'}; "
        "give them different names.",
    ):
        train_many([(tiny_recipe(), 0), (tiny_recipe(lr=0.5), 0)], tmp_path)
    assert not list(tmp_path.iterdir())
