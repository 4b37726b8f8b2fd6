"""Each member of an ensemble is the run that its seed makes alone."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from interp.models import load_folder
from interp.models.config import TransformerConfig
from interp.models.folders import named_parameters, read_safetensors
from interp.tasks import LinearRegression
from interp.training import (
    checkpoint_steps,
    get_language_recipe,
    get_recipe,
    load_checkpoint,
    train,
    train_ensemble,
    train_seeds,
)
from interp.training import ensemble as ensemble_module
from interp.training.checkpoints import checkpoint_path
from interp.training.curriculum import Curriculum, Ramp
from interp.training.feed import Feed
from interp.training.metrics import read_metrics
from interp.training.seeds import can_be_stacked
from interp.training.stack import Stack
from tests.errors import raises_exactly
from tests.training.recipes import GPT2, tiny_recipe, train_and_stop

SEEDS = (3, 0, 7)
LINEAR = tiny_recipe(
    name="linear",
    model=TransformerConfig(dim=3, n_layers=2, looped=True, init_variance=0.1),
    frozen=("W_Q",),
    schedule="constant",
    weight_decay=0.01,
)
CURRICULUM = tiny_recipe(
    name="curriculum",
    model=GPT2,
    task=LinearRegression(dim=3, n_points=5, inputs="gaussian"),
    curriculum=Curriculum(dims=Ramp(start=1, every=10), points=Ramp(start=3, every=10)),
)
"""With biases of keys, whose gradient is 0 but for rounding, which Adam makes as large as any."""


def differences(first: torch.nn.Module, second: torch.nn.Module) -> dict[str, float]:
    ours, theirs = named_parameters(first), named_parameters(second)
    return {name: (ours[name] - theirs[name]).abs().max().item() for name in ours if not name.endswith("b_K")}


@pytest.mark.parametrize("recipe", [tiny_recipe(), LINEAR, CURRICULUM], ids=lambda recipe: recipe.name)
def test_every_seed_ends_with_the_weights_that_it_reaches_alone(tmp_path, recipe):
    runs = train_ensemble(recipe, SEEDS, tmp_path)
    assert [(run.seed, run.failure, run.folder) for run in runs] == [
        (seed, "", tmp_path / f"{recipe.name}-seed{seed}") for seed in SEEDS
    ]
    for run in runs:
        alone = train(recipe, seed=run.seed)
        assert max(differences(load_folder(run.folder), alone).values()) < 2e-5
    ends = [named_parameters(load_folder(run.folder)) for run in runs]
    assert all(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0] if name.endswith("W_V"))


def test_metrics_checkpoints_and_config_are_those_of_the_run_alone(tmp_path):
    recipe = tiny_recipe()
    (run, _) = train_ensemble(recipe, (2, 5), tmp_path)
    alone = tmp_path / "alone"
    train(recipe, alone, seed=2)
    assert json.loads((run.folder / "config.json").read_text()) == json.loads((alone / "config.json").read_text())
    assert checkpoint_steps(run.folder) == checkpoint_steps(alone)
    ours, theirs = read_metrics(run.folder), read_metrics(alone)
    assert [(row["step"], row["lr"]) for row in ours] == [(row["step"], row["lr"]) for row in theirs]
    assert_close([row["loss"] for row in ours], [row["loss"] for row in theirs], rtol=1e-5, atol=0)
    for step in checkpoint_steps(alone):
        mine, other = (read_safetensors(checkpoint_path(folder, step)) for folder in (run.folder, alone))
        assert mine.keys() == other.keys()
        for name in mine:
            assert_close(mine[name], other[name], rtol=1e-3, atol=1e-6)


def test_an_ensemble_stopped_in_the_middle_goes_on(tmp_path, monkeypatch):
    recipe = tiny_recipe()
    update = ensemble_module.Ensemble.update

    def stopping(self, step):
        if step == 17:
            raise KeyboardInterrupt
        return update(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(ensemble_module.Ensemble, "update", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_ensemble(recipe, SEEDS, tmp_path)
    assert checkpoint_steps(tmp_path / "tiny-seed0")[-1] == 15
    runs = train_ensemble(recipe, SEEDS, tmp_path, resume=True)
    for run in runs:
        assert max(differences(load_folder(run.folder), train(recipe, seed=run.seed)).values()) < 1e-6
        assert [row["step"] for row in read_metrics(run.folder)] == list(range(recipe.steps))


def test_seeds_that_got_differently_far_all_end_and_finished_ones_are_left_alone(tmp_path):
    recipe = tiny_recipe()
    train(recipe, tmp_path / "tiny-seed0", seed=0)
    train_and_stop(recipe, tmp_path / "tiny-seed1", seed=1, after=12)
    before = (tmp_path / "tiny-seed0" / "model.safetensors").stat().st_mtime_ns
    runs = train_ensemble(recipe, (0, 1, 2), tmp_path, resume=True)
    assert (tmp_path / "tiny-seed0" / "model.safetensors").stat().st_mtime_ns == before
    for run in runs:
        assert max(differences(load_folder(run.folder), train(recipe, seed=run.seed)).values()) < 1e-6


def test_a_seed_that_diverges_is_reported_and_stops_no_other(tmp_path, monkeypatch):
    recipe = tiny_recipe()
    fill = Feed._fill

    def poisoned(self, tokens, ys, seed, step):
        fill(self, tokens, ys, seed, step)
        if seed == 0 and step == 22:
            ys[:, -1] = 1e30  # its square is infinite

    monkeypatch.setattr(Feed, "_fill", poisoned)
    runs = train_ensemble(recipe, SEEDS, tmp_path)
    assert [bool(run.failure) for run in runs] == [False, True, False]
    assert runs[1].failure == (
        "Training diverged: the loss is inf at step 22. Lower `lr` or `clip_norm`; the checkpoints in "
        f"{runs[1].folder} stay."
    )
    assert checkpoint_steps(runs[1].folder)[-1] == 20
    assert not (runs[1].folder / "model.safetensors").exists()
    assert all(math.isfinite(row["loss"]) for row in read_metrics(runs[1].folder))
    for run in (runs[0], runs[2]):
        assert max(differences(load_folder(run.folder), train(recipe, seed=run.seed)).values()) < 1e-6


def test_a_seed_whose_last_update_overflows_is_reported_and_stops_no_other(tmp_path, monkeypatch):
    recipe = tiny_recipe(steps=3, warmup=0)
    gradients, steps = Stack.gradients, iter(range(recipe.steps))

    def overflowing(self, tokens, ys):
        found, losses = gradients(self, tokens, ys)
        if next(steps) == recipe.steps - 1:
            found["blocks.1.attn.W_O"][1] = math.nan
        return found, losses

    monkeypatch.setattr(Stack, "gradients", overflowing)
    runs = train_ensemble(recipe, (3, 0), tmp_path)
    assert runs[1].failure.startswith("Training diverged: the last update leaves NaN or infinite values in blocks.")
    assert not (runs[1].folder / "model.safetensors").exists()
    assert runs[0].failure == ""
    assert max(differences(load_folder(runs[0].folder), train(recipe, seed=3)).values()) < 1e-6


def test_an_ensemble_of_which_all_diverge_ends(tmp_path):
    wild = tiny_recipe(lr=1e20, warmup=0, clip_norm=None, schedule="constant")
    runs = train_ensemble(wild, (0, 1), tmp_path)
    assert all(run.failure.startswith("Training diverged: the loss is ") for run in runs)


def test_models_that_cannot_be_stacked_train_in_processes_of_their_own(tmp_path):
    lstm = get_recipe("garg-tiny-lstm")
    with raises_exactly(
        ValueError,
        "Recipe 'garg-tiny-lstm' trains no transformer on in-context regression, and others cannot be stacked; "
        "train its seeds with train_many.",
    ):
        train_ensemble(lstm, (0, 1), tmp_path)
    assert not list(tmp_path.iterdir())
    short = replace(lstm, name="lstm", steps=3, warmup=0, batch_size=4, model=replace(lstm.model, width=4, n_layers=1))
    runs = train_seeds(short, (1,), tmp_path)
    assert max(differences(load_folder(runs[0].folder), train(short, seed=1)).values()) == 0
    assert not can_be_stacked(get_language_recipe("induction-2layer"))


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ((), "Expected at least one seed, each once; got none."),
        ((1, 2, 1), "Expected at least one seed, each once; got [1] more than once."),
    ],
)
def test_bad_seeds_are_refused(tmp_path, seeds, message):
    with raises_exactly(ValueError, message):
        train_seeds(tiny_recipe(), seeds, tmp_path)


def test_seeds_that_cannot_train_as_asked_leave_the_runs_that_are_there(tmp_path, monkeypatch):
    lstm = get_recipe("garg-tiny-lstm")
    short = replace(lstm, name="lstm", steps=2, warmup=0, batch_size=4, model=replace(lstm.model, width=4, n_layers=1))
    train(short, tmp_path / "lstm-seed1", seed=1)
    with pytest.raises(ValueError, match="Precision 'tf32' is a mode of CUDA's matrix units"):
        train_seeds(short, (1,), tmp_path, precision="tf32", force=True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with raises_exactly(
        ValueError, "Every seed trains in a process of its own; start them without `accelerate launch`."
    ):
        train_seeds(short, (1,), tmp_path, force=True)
    load_folder(tmp_path / "lstm-seed1")


def test_taken_folders_are_refused_before_anything_is_trained(tmp_path):
    train(tiny_recipe(steps=4), tmp_path / "tiny-seed1", seed=1)
    with pytest.raises(FileExistsError, match="holds a run already"):
        train_ensemble(tiny_recipe(steps=4), (0, 1), tmp_path)
    assert not (tmp_path / "tiny-seed0" / "metrics.jsonl").exists()
    with pytest.raises(ValueError, match="steps 4 there, 5 here"):
        train_ensemble(tiny_recipe(steps=5), (1,), tmp_path, resume=True)
    train_ensemble(tiny_recipe(steps=5), (1,), tmp_path, force=True)
    assert checkpoint_steps(tmp_path / "tiny-seed1")[-1] == 5


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")  # torch.compile gives up on code with checks of types, for good
def test_a_compiled_ensemble_trains_the_same_runs(tmp_path):
    recipe = tiny_recipe(steps=6, warmup=0)
    plain = train_ensemble(recipe, (0, 1), tmp_path / "plain")
    compiled = train_ensemble(recipe, (0, 1), tmp_path / "compiled", compile=True)
    for ours, theirs in zip(compiled, plain, strict=True):
        assert max(differences(load_folder(ours.folder), load_folder(theirs.folder)).values()) < 1e-5


def test_a_checkpoint_of_a_member_is_the_model_on_the_way(tmp_path):
    recipe = tiny_recipe()
    train_ensemble(recipe, (4, 6), tmp_path)
    early = load_checkpoint(tmp_path / "tiny-seed6", 10)
    train_and_stop(recipe, tmp_path / "alone", seed=6, after=11)
    assert max(differences(early, load_checkpoint(tmp_path / "alone", 10)).values()) < 1e-6
