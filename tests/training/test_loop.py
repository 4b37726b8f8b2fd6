import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import interp
from interp.models import RegressionTransformer, load_folder
from interp.models.folders import describe_model, weights_checksum, write_config
from interp.tasks import SineWaves
from interp.training import DivergedError, checkpoint_steps, get_recipe, load_checkpoint, train
from interp.training import loop as loop_module
from interp.training.data import training_prompts
from interp.training.metrics import read_metrics
from tests.errors import raises_exactly
from tests.training.killed_run import LONG
from tests.training.recipes import tiny_recipe, train_and_stop, transformer_of


def test_the_data_of_an_update_depend_on_seed_and_step_alone():
    recipe = tiny_recipe()
    first = training_prompts(recipe, seed=2, step=17)
    longer = training_prompts(replace(recipe, steps=400, lr=0.5), seed=2, step=17)
    assert torch.equal(first.xs, longer.xs)
    assert torch.equal(first.ys, longer.ys)
    others = [(2, step) for step in range(40) if step != 17] + [(3, 17), (17, 2)]
    for seed, step in others:
        assert not torch.equal(first.xs, training_prompts(recipe, seed=seed, step=step).xs)


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
    prompts = training_prompts(recipe, seed=6, step=0)
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


@pytest.mark.parametrize("frozen", [(), ("W_Q", "b_out")], ids=["all trained", "some frozen"])
@pytest.mark.parametrize("stop_after", [0, 1, 12, 39])
def test_a_run_stopped_anywhere_resumes_to_the_same_weights(tmp_path, stop_after, frozen):
    recipe = tiny_recipe(frozen=frozen)
    whole = train(recipe, seed=2)
    train_and_stop(recipe, tmp_path / "run", seed=2, after=stop_after)
    assert weights_checksum(train(recipe, tmp_path / "run", seed=2, resume=True)) == weights_checksum(whole)


def test_resuming_a_finished_run_returns_it_without_training(tmp_path, monkeypatch):
    model = train(tiny_recipe(), tmp_path / "run")
    monkeypatch.setattr(loop_module, "_update", None)
    assert weights_checksum(train(tiny_recipe(), tmp_path / "run", resume=True)) == weights_checksum(model)


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    folder = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed_run", str(folder)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not read_metrics(folder):
            assert time.monotonic() < deadline, "the run did not get going"
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)  # lest it ends before it has been asked twice
        for resume in (True, False):
            with raises_exactly(
                ValueError, f"Another process is training into {folder}; wait until it ends, or give another --out."
            ):
                train(tiny_recipe(**LONG), folder, seed=1, resume=resume, force=not resume)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    train(tiny_recipe(**LONG), folder, seed=1, resume=True)  # the dead hold nothing


def test_a_new_folder_is_held_before_anything_is_written_there(tmp_path, monkeypatch):
    def late(*arguments, **options):
        with pytest.raises(ValueError, match="Another process is training into"):
            train(tiny_recipe(), tmp_path / "run", force=True)  # whoever comes meanwhile
        write_config(*arguments, **options)

    monkeypatch.setattr("interp.training.run_folder.write_config", late)
    train(tiny_recipe(steps=1, warmup=0), tmp_path / "run")


def test_what_a_run_left_that_died_while_writing_its_first_file_is_no_hindrance(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.abc").write_text("{")
    train(tiny_recipe(steps=4), folder)
    assert not list(folder.rglob(".*"))


def test_resuming_where_there_is_nothing_starts(tmp_path):
    model = train(tiny_recipe(), tmp_path / "run", resume=True)
    assert weights_checksum(model) == weights_checksum(train(tiny_recipe()))


def test_a_run_of_another_recipe_or_seed_is_not_resumed(tmp_path):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder, seed=1)
    before = weights_checksum(load_folder(folder))
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe, seed or precision (seed 1 there, 2 here; lr 0.001 there, 0.5 here); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny_recipe(lr=0.5), folder, seed=2, resume=True)
    assert weights_checksum(load_folder(folder)) == before


YOUNGER_FIELDS = {
    "recipe": ("frozen", "keep_every"),
    "model": ("damping", "clamp", "final_norm", "read_in_width", "descent_lr"),
}
"""What recipes and models of earlier versions did not have."""


def forget_younger_fields(folder: Path) -> None:
    """Make a run's config.json as an earlier version would have written it."""
    content = json.loads((folder / "config.json").read_text())
    for record, fields in (
        (content["recipe"], YOUNGER_FIELDS["recipe"]),
        (content["recipe"]["model"], YOUNGER_FIELDS["model"]),
        (content["model"], YOUNGER_FIELDS["model"]),
    ):
        for field in fields:
            del record[field]
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("stop_after", [12, None], ids=["unfinished", "finished"])
def test_a_run_older_than_a_field_of_recipes_is_resumed(tmp_path, stop_after):
    folder = tmp_path / "run"
    if stop_after is None:
        train(tiny_recipe(), folder)
    else:
        train_and_stop(tiny_recipe(), folder, after=stop_after)
    forget_younger_fields(folder)
    resumed = train(tiny_recipe(), folder, resume=True)
    assert weights_checksum(resumed) == weights_checksum(train(tiny_recipe()))
    assert weights_checksum(load_folder(folder)) == weights_checksum(resumed)
    assert load_checkpoint(folder, 1).cfg == tiny_recipe().model


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"keep_every": 5}, "keep_every 0 there, 5 here"),
        ({"frozen": ("W_Q",)}, "frozen [] there, ['W_Q'] here"),
        ({"frozen": ("W_Q",), "lr": 0.5}, "lr 0.001 there, 0.5 here; frozen [] there, ['W_Q'] here"),
    ],
)
@pytest.mark.parametrize("old", [False, True], ids=["recorded", "older than the field"])
def test_a_run_with_another_value_of_a_younger_field_is_not_resumed(tmp_path, options, difference, old):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder)
    if old:
        forget_younger_fields(folder)
    before = (folder / "config.json").read_text()
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe, seed or precision ({difference}); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny_recipe(**options), folder, resume=True)
    assert (folder / "config.json").read_text() == before


def test_a_run_of_a_model_with_another_value_of_a_younger_field_is_not_resumed(tmp_path):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder)
    forget_younger_fields(folder)
    recipe = tiny_recipe()
    with pytest.raises(
        ValueError,
        match=r"another recipe, seed or precision \(model .*'clamp': None.* there, .*'clamp': 10\.0.* here\)",
    ):
        train(replace(recipe, model=replace(transformer_of(recipe), clamp=10.0)), folder, resume=True)


def test_a_recipe_with_a_field_that_nobody_knows_is_another(tmp_path):
    folder = tmp_path / "run"
    train(tiny_recipe(), folder)
    content = json.loads((folder / "config.json").read_text())
    content["recipe"]["colour"] = "red"
    (folder / "config.json").write_text(json.dumps(content))
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe, seed or precision (colour 'red' there, None here); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny_recipe(), folder, resume=True)


def test_a_finished_run_without_its_checkpoints_is_still_finished(tmp_path, monkeypatch):
    model = train(tiny_recipe(), tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    monkeypatch.setattr(loop_module, "_update", None)
    assert weights_checksum(train(tiny_recipe(), tmp_path / "run", resume=True)) == weights_checksum(model)


def test_a_model_without_recipe_is_not_resumed(tmp_path):
    from interp.models import save_folder

    save_folder(tmp_path, train(tiny_recipe(steps=1, warmup=0)))
    with raises_exactly(
        ValueError,
        f"{tmp_path} holds a run of another recipe, seed or precision (seed None there, 0 here); "
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


def moved(model: RegressionTransformer, seed: int) -> tuple[set[str], set[str]]:
    """Names of parameters that training has moved in every entry, and of those it has left bit for bit."""
    start = dict(model.untrained_twin(seed).named_parameters())
    pairs = [(name, values, start[name]) for name, values in model.named_parameters()]
    return (
        {name for name, now, then in pairs if (now != then).all()},
        {name for name, now, then in pairs if torch.equal(now, then)},
    )


def test_a_run_whose_last_update_overflows_has_diverged(tmp_path):
    with raises_exactly(
        DivergedError,
        "Training diverged: the last update leaves NaN or infinite values in blocks.0.attn.W_Q. Lower `lr` or "
        f"`clip_norm`; the checkpoints in {tmp_path / 'run'} stay.",
    ):
        train(tiny_recipe(steps=1, warmup=0, lr=1e39), tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_tf32_is_on_in_the_backward_pass_too(monkeypatch):
    monkeypatch.setattr("interp._precision.check_precision", lambda *_: None)
    monkeypatch.setattr(loop_module, "check_precision", lambda *_: None)
    make, seen = loop_module.make_optimizer, []

    def listening(parameters, recipe):
        parameters[0].register_hook(lambda _: seen.append(torch.get_float32_matmul_precision()))
        return make(parameters, recipe)

    monkeypatch.setattr(loop_module, "make_optimizer", listening)
    for precision in ("fp32", "tf32", "bf16"):
        train(tiny_recipe(steps=1, warmup=0), precision=precision)
    assert seen == ["highest", "high", "highest"]
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("frozen", [("W_Q",), ("W_in", "b_out"), ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")])
def test_frozen_parameters_stay_in_every_layer_and_all_others_move(frozen: Sequence[str]):
    """Weight decay and a tight clip would show on what is frozen too, if anything did."""
    recipe = tiny_recipe(frozen=frozen, weight_decay=0.1, clip_norm=0.01, batch_size=64)
    recipe = replace(recipe, model=replace(transformer_of(recipe), mlp="gelu"))
    model = train(recipe, seed=5)
    changed, kept = moved(model, seed=5)
    assert kept == {name for name, _ in model.named_parameters() if name.rsplit(".", 1)[-1] in frozen}
    # What the last layer writes into the x entries of the stream is never read.
    unread = {"blocks.1.mlp.W_out", "blocks.1.mlp.b_out"}
    assert changed | kept >= {name for name, _ in model.named_parameters()} - unread


def test_freezing_nothing_trains_as_ever():
    assert weights_checksum(train(tiny_recipe(frozen=()))) == weights_checksum(train(tiny_recipe()))


def test_frozen_parameters_are_recorded(tmp_path):
    recipe = tiny_recipe(frozen=("W_Q",))
    train(recipe, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["frozen"] == ["W_Q"]
    train(recipe, tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match=r"\(frozen \['W_Q'\] there, \[\] here\)"):
        train(tiny_recipe(), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (
            ("W_Q", "W_inn"),
            "Unknown frozen parameter of recipe 'tiny' 'W_inn'; "
            "known are W_K, W_O, W_Q, W_V, W_in, W_out, b_in, b_out. Did you mean 'W_in'?",
        ),
        (
            ("W_K", "W_O", "W_Q", "W_V", "W_in", "W_out", "b_in", "b_out"),
            "Recipe 'tiny' freezes every parameter; leave at least one to train.",
        ),
    ],
)
def test_a_recipe_that_freezes_what_is_not_there_or_all_that_is_is_refused(tmp_path, frozen, message):
    with raises_exactly(ValueError, message):
        train(tiny_recipe(frozen=frozen), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["sine-mlp", "sine-mlp-gd"])
def test_sine_waves_are_trained_saved_and_loaded_with_their_task(tmp_path, name):
    recipe = replace(get_recipe(name), steps=3, batch_size=8, log_every=1)
    model = train(recipe, tmp_path / "run", seed=1)
    back = interp.load(tmp_path / "run")
    assert back.task == model.task == SineWaves(n_points=11)
    assert back.cfg == recipe.model
    tokens = back.tokens(back.task.sample(5))
    assert torch.equal(back(tokens), model(tokens))
    assert len(read_metrics(tmp_path / "run")) == 3
    changed, kept = moved(back, seed=1)
    assert kept == {f"blocks.0.attn.{weight}" for weight in recipe.frozen}
    assert {f"read_in.{weight}" for weight in ("W_in", "b_in", "W_out", "b_out", "W_start")} <= changed
    assert torch.equal(load_checkpoint(tmp_path / "run", 3)(tokens), model(tokens))
    assert load_checkpoint(tmp_path / "run", 0).task == model.task
