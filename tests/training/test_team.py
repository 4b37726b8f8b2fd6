"""Processes that share a training, on the CPU (gloo)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from interp._progress import Tracker
from interp.models import load_folder
from interp.models.folders import named_parameters
from interp.training import checkpoint_steps, train
from interp.training.metrics import read_metrics
from interp.training.team import Team
from tests.errors import raises_exactly
from tests.training.recipes import tiny_recipe

ROOT = Path(__file__).parents[2]


def launch(module: str, *arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a module in processes that `accelerate launch` starts on the CPU, set to another precision than the run's.

    Without a GPU ``--multi_gpu`` does that; ``--cpu`` starts one process, however many are asked for.
    """
    options = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    options += ["--mixed_precision", "bf16", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize(
    "batch_size",
    [pytest.param(16, marks=pytest.mark.slow, id="even shares"), pytest.param(5, id="shares of 2 and 3")],
)
def test_two_processes_take_the_gradients_of_one_with_the_whole_batch(tmp_path, batch_size):
    result = launch("tests.training.shared_run", str(tmp_path / "shared"), str(batch_size))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("one of 2 processes") == 2
    alone = train(tiny_recipe(batch_size=batch_size, frozen=("W_Q",)), tmp_path / "alone", seed=1)
    ours, theirs = named_parameters(load_folder(tmp_path / "shared")), named_parameters(alone)
    for name in ours:
        assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)
    assert checkpoint_steps(tmp_path / "shared") == checkpoint_steps(tmp_path / "alone")
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("shared", "alone")]
    assert_close(*losses, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_the_command_line_trains_in_a_team_and_speaks_once(tmp_path):
    folder = tmp_path / "run"
    fields = ("--steps", "3", "--batch-size", "4", "--out", str(folder))
    result = launch("interp", "train", "lsa-1layer", *fields)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Wrote") == 1
    again = launch("interp", "train", "lsa-1layer", *fields)
    assert again.returncode != 0
    assert again.stderr.count("holds a run already; --resume goes on with it, --force replaces it.") == 1
    crowded = launch("interp", "train", "lsa-1layer", "--batch-size", "1", "--out", str(tmp_path / "other"))
    assert crowded.stderr.count("interp: 2 processes share batches of 1: expected at least one prompt for each.") == 1
    assert not (tmp_path / "other").exists()


def test_a_process_needs_a_prompt(monkeypatch):
    monkeypatch.setattr(Team, "count", 3)
    with raises_exactly(
        ValueError,
        "3 processes share batches of 2: expected at least one prompt for each. Launch fewer processes, or raise "
        "`batch_size`.",
    ):
        train(tiny_recipe(batch_size=2))


def test_only_the_process_that_leads_shows_a_bar(monkeypatch):
    moved: list[str] = []
    monkeypatch.setattr(Tracker, "advance", lambda self, note="": moved.append(note))
    recipe = tiny_recipe(steps=2, warmup=0)
    train(recipe)
    assert len(moved) == 2
    monkeypatch.setattr(Team, "leads", False)
    train(recipe)
    assert len(moved) == 2


def test_an_ensemble_is_not_shared(monkeypatch, tmp_path):
    from interp.training import train_ensemble

    monkeypatch.setenv("WORLD_SIZE", "2")
    with raises_exactly(ValueError, "An ensemble trains in one process; start it without `accelerate launch`."):
        train_ensemble(tiny_recipe(), (0, 1), tmp_path)


def test_a_process_alone_has_the_whole_batch():
    team = Team()
    prompts = tiny_recipe().task.sample(3)
    assert team.share(prompts) == (prompts, 1.0)
    assert team.led(lambda: 5) == 5
    with pytest.raises(ValueError, match="1 processes share batches of 0"):
        team.agree(lambda: team.check(0))
    assert torch.equal(team.mean(torch.tensor(2.0)), torch.tensor(2.0))
