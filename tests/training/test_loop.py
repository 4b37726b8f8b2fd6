import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp.models import load_folder
from interp.models.folders import describe_model, weights_checksum
from interp.training import DivergedError, checkpoint_steps, load_checkpoint, train
from interp.training import loop as loop_module
from interp.training.metrics import read_metrics
from tests.errors import raises_exactly
from tests.training.killed_run import LONG
from tests.training.recipes import tiny_recipe


def test_the_data_of_an_update_depend_on_seed_and_step_alone():
    recipe = tiny_recipe()
    first = loop_module.training_prompts(recipe, seed=2, step=17)
    longer = loop_module.training_prompts(replace(recipe, steps=400, lr=0.5), seed=2, step=17)
    assert torch.equal(first.xs, longer.xs)
    assert torch.equal(first.ys, longer.ys)
    others = [(2, step) for step in range(40) if step != 17] + [(3, 17), (17, 2)]
    for seed, step in others:
        assert not torch.equal(first.xs, loop_module.training_prompts(recipe, seed=seed, step=step).xs)


def test_the_same_seed_trains_the_same_weights_bit_for_bit():
    checksums = {weights_checksum(train(tiny_recipe(), seed=seed)) for seed in (0, 0, 1)}
    assert len(checksums) == 2


def test_a_run_folder_holds_what_training_returns(tmp_path):
    model = train(tiny_recipe(), tmp_path / "run", seed=4)
    back = load_folder(tmp_path / "run")
    info, theirs = describe_model(model), describe_model(back)
    assert weights_checksum(back) == weights_checksum(model) == info.checksum
    assert (theirs.seed, theirs.recipe) == (4, info.recipe)
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert content["recipe"]["steps"] == 40


def test_a_run_in_memory_trains_as_one_in_a_folder(tmp_path):
    assert weights_checksum(train(tiny_recipe(), tmp_path / "run")) == weights_checksum(train(tiny_recipe()))


def test_the_first_logged_loss_is_half_the_mean_squared_error_of_the_initial_model(tmp_path):
    recipe = tiny_recipe(steps=3, warmup=0)
    train(recipe, tmp_path / "run", seed=6)
    prompts = loop_module.training_prompts(recipe, seed=6, step=0)
    model = load_checkpoint(tmp_path / "run", 0)
    loss = 0.5 * (model(model.tokens(prompts))[:, 0] - prompts.ys[:, -1]).square().mean()
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[0]["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert [row["lr"] for row in rows] == [recipe.lr_at(step) for step in range(3)]


def killed_in_the_middle(folder: Path) -> int:
    """Start a run in a process of its own, kill it between two resume points, and return the last of them."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed_run", str(folder)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (rows := read_metrics(folder)) or rows[-1]["step"] < 60:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "the run did not get going"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return checkpoint_steps(folder)[-1]


@pytest.mark.usefixtures("unchecked")  # as in the process of its own, and five times as fast
def test_a_run_killed_in_the_middle_and_resumed_ends_as_one_that_never_stopped(tmp_path):
    folder = tmp_path / "run"
    reached = killed_in_the_middle(folder)
    assert 50 <= reached < LONG["steps"]
    assert not (folder / "model.safetensors").exists()
    recipe = tiny_recipe(**LONG)
    resumed = train(recipe, folder, seed=1, resume=True)
    whole = train(recipe, tmp_path / "whole", seed=1)
    assert weights_checksum(resumed) == weights_checksum(whole)
    assert read_metrics(folder) == read_metrics(tmp_path / "whole")
    assert checkpoint_steps(folder) == checkpoint_steps(tmp_path / "whole")
    assert not list(folder.rglob(".*"))  # no scratch files of interrupted writes


@pytest.mark.parametrize("stop_after", [0, 1, 12, 39])
def test_a_run_stopped_anywhere_resumes_to_the_same_weights(tmp_path, monkeypatch, stop_after):
    whole = train(tiny_recipe(), seed=2)
    update = loop_module._update

    def stopping(model, optimizer, recipe, seed, step):
        if step == stop_after:
            raise KeyboardInterrupt
        return update(model, optimizer, recipe, seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(loop_module, "_update", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_recipe(), tmp_path / "run", seed=2)
    assert weights_checksum(train(tiny_recipe(), tmp_path / "run", seed=2, resume=True)) == weights_checksum(whole)


def test_resuming_a_finished_run_returns_it_without_training(tmp_path, monkeypatch):
    model = train(tiny_recipe(), tmp_path / "run")
    monkeypatch.setattr(loop_module, "_update", None)
    assert weights_checksum(train(tiny_recipe(), tmp_path / "run", resume=True)) == weights_checksum(model)


def test_resuming_where_there_is_nothing_starts(tmp_path):
    model = train(tiny_recipe(), tmp_path / "run", resume=True)
    assert weights_checksum(model) == weights_checksum(train(tiny_recipe()))


def test_a_run_of_another_recipe_or_seed_is_not_resumed(tmp_path):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder, seed=1)
    before = weights_checksum(load_folder(folder))
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe or seed (seed 1 there, 2 here; lr 0.001 there, 0.5 here); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny_recipe(lr=0.5), folder, seed=2, resume=True)
    assert weights_checksum(load_folder(folder)) == before


def test_a_model_without_recipe_is_not_resumed(tmp_path):
    from interp.models import save_folder

    save_folder(tmp_path, train(tiny_recipe(steps=1, warmup=0)))
    with raises_exactly(
        ValueError,
        f"{tmp_path} holds a run of another recipe or seed (seed None there, 0 here); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny_recipe(), tmp_path, resume=True)


def test_a_run_is_not_replaced_unasked(tmp_path):
    train(tiny_recipe(steps=1, warmup=0), tmp_path / "run")
    with raises_exactly(
        FileExistsError,
        f"{tmp_path / 'run'} holds a run already; --resume goes on with it, --force replaces it.",
    ):
        train(tiny_recipe(), tmp_path / "run")


def test_force_replaces_a_run_and_nothing_else(tmp_path):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder, seed=1)
    (folder / "notes.txt").write_text("mine")
    (folder / "checkpoints" / "figure.png").write_text("mine too")
    model = train(tiny_recipe(steps=9, warmup=0), folder, seed=2, force=True)
    assert weights_checksum(load_folder(folder)) == weights_checksum(model)
    assert checkpoint_steps(folder) == [0, 1, 2, 3, 4, 6, 7, 9]
    assert len(read_metrics(folder)) == 9
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "checkpoints" / "figure.png").read_text() == "mine too"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_folder_is_never_written_to(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with raises_exactly(FileExistsError, f"{tmp_path} exists and is not a run of ours; give another --out."):
        train(tiny_recipe(), tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"schema": "thesis/1"}'], ids=str)
def test_a_folder_is_not_ours_for_holding_a_config(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with raises_exactly(FileExistsError, f"{tmp_path} exists and is not a run of ours; give another --out."):
        train(tiny_recipe(), tmp_path, force=True)
    assert (tmp_path / "config.json").read_text() == content


def test_resuming_and_replacing_exclude_each_other(tmp_path):
    with raises_exactly(ValueError, "--resume goes on with a run and --force replaces it; give one of them."):
        train(tiny_recipe(), tmp_path / "run", resume=True, force=True)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("a file")
    with raises_exactly(FileExistsError, f"{tmp_path / 'run'} exists and is not a run of ours; give another --out."):
        train(tiny_recipe(), tmp_path / "run", force=True)


def test_an_empty_folder_is_free(tmp_path):
    train(tiny_recipe(steps=1, warmup=0), tmp_path)
    assert describe_model(load_folder(tmp_path)).source == "run"


def test_a_diverging_run_says_so_and_leaves_its_checkpoints(tmp_path):
    recipe = tiny_recipe(lr=1e20, warmup=0, clip_norm=None, schedule="constant")
    with pytest.raises(DivergedError) as caught:
        train(recipe, tmp_path / "run")
    last = read_metrics(tmp_path / "run")[-1]["step"]
    message = str(caught.value)
    assert message.startswith("Training diverged: the loss is ")
    assert message.endswith(
        f" at step {last + 1}. Lower `lr` or `clip_norm`; the checkpoints in {tmp_path / 'run'} stay."
    )
    assert checkpoint_steps(tmp_path / "run")[0] == 0
    assert load_checkpoint(tmp_path / "run", 0).cfg == recipe.model
    assert not (tmp_path / "run" / "model.safetensors").exists()
