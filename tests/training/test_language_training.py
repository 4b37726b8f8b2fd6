"""Language models are trained by the same loop, and what holds of runs holds of theirs."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

import interp
from interp import cli
from interp.models.folders import describe_model, named_parameters, read_safetensors, weights_checksum
from interp.models.loading import load_language
from interp.models.token_config import TokenModelConfig
from interp.tasks import RepeatedTokens, TokenSequences
from interp.training import LanguageRecipe, checkpoint_steps, get_language_recipe, load_checkpoint, train, train_many
from interp.training.checkpoints import checkpoint_path
from interp.training.data import training_batch
from interp.training.metrics import read_metrics
from interp.training.objective import loss_of
from interp.training.pack import pack
from tests.errors import raises_exactly
from tests.training.recipes import train_and_stop


def tiny(**options) -> LanguageRecipe:
    """20 updates on sequences of 13 tokens."""
    return LanguageRecipe(
        **{
            "name": "tiny-words",
            "model": TokenModelConfig(d_vocab=11, n_ctx=13, n_heads=2, d_model=8),
            "task": RepeatedTokens(d_vocab=11, n_pos=13, shortest=2, longest=5),
            "steps": 20,
            "batch_size": 4,
            "log_every": 1,
            "resume_every": 3,
            "clip_norm": 1.0,
            "warmup": 4,
            "schedule": "cosine",
            **options,
        }
    )


def batch_of(recipe: LanguageRecipe, seed: int, step: int) -> TokenSequences:
    """What an update trains on."""
    batch = training_batch(recipe, seed, step)
    assert isinstance(batch, TokenSequences)
    return batch


def test_the_loss_is_the_mean_of_minus_the_log_probability_of_every_next_token():
    model, batch = train(tiny(steps=5)), batch_of(tiny(), seed=1, step=2)
    probabilities = model(batch.tokens).softmax(-1)
    logs = [
        probabilities[row, position, batch.tokens[row, position + 1]].log()
        for row in range(4)
        for position in range(12)
    ]
    assert_close(loss_of(model, batch), -torch.stack(logs).mean())


def test_a_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary():
    model, recipe = train(tiny(steps=1, warmup=0)), tiny()
    with torch.no_grad():
        named_parameters(model)["unembed.weight"].zero_()
    assert loss_of(model, batch_of(recipe, seed=0, step=0)).item() == pytest.approx(torch.tensor(11.0).log())


def test_the_sequences_of_an_update_depend_on_seed_and_step_alone():
    first = batch_of(tiny(), seed=2, step=17).tokens
    assert torch.equal(batch_of(tiny(steps=400, lr=0.5), seed=2, step=17).tokens, first)
    for seed, step in [(2, 16), (2, 18), (3, 17), (17, 2)]:
        assert not torch.equal(batch_of(tiny(), seed=seed, step=step).tokens, first)


@pytest.mark.parametrize("stop_after", [0, 1, 7, 19])
def test_a_run_stopped_anywhere_resumes_to_the_same_weights(tmp_path, stop_after):
    whole = train(tiny(), tmp_path / "whole", seed=2)
    train_and_stop(tiny(), tmp_path / "run", seed=2, after=stop_after)
    resumed = train(tiny(), tmp_path / "run", seed=2, resume=True)
    assert weights_checksum(resumed) == weights_checksum(whole)
    assert read_metrics(tmp_path / "run") == read_metrics(tmp_path / "whole")
    assert checkpoint_steps(tmp_path / "run") == checkpoint_steps(tmp_path / "whole")


def test_a_run_folder_holds_what_training_returns(tmp_path):
    model = train(tiny(), tmp_path / "run", seed=4)
    back = interp.load(tmp_path / "run")
    info = describe_model(model)
    assert weights_checksum(back) == weights_checksum(model) == info.checksum
    assert (info.seed, info.folder, describe_model(back).recipe) == (4, tmp_path / "run", info.recipe)
    assert (back.token_config, back.task) == (tiny().model, tiny().task)
    assert weights_checksum(train(tiny(), seed=4)) == info.checksum


def test_every_parameter_is_trained_and_every_checkpoint_holds_it_under_its_name(tmp_path):
    model = train(tiny(), tmp_path / "run")
    steps = checkpoint_steps(tmp_path / "run")
    assert (steps[0], steps[-1]) == (0, 20)
    assert torch.equal(load_checkpoint(tmp_path / "run", 20).W_E, model.W_E)
    for earlier, later in pairwise(steps):
        before, after = (named_parameters(load_checkpoint(tmp_path / "run", step)) for step in (earlier, later))
        # A shift of all keys alike changes no attention: their biases have no gradient but rounding's.
        assert all(not torch.equal(before[name], after[name]) for name in before if not name.endswith("k.bias"))
    expected = {f"model.{name}" for name in named_parameters(model)}
    held = set(read_safetensors(checkpoint_path(tmp_path / "run", 20)))
    assert {name for name in held if name.startswith("model.")} == expected
    assert {name.replace("optimizer.exp_avg.", "model.") for name in held if "exp_avg." in name} == expected


def test_a_run_of_another_recipe_is_not_resumed(tmp_path):
    folder = tmp_path / "run"
    train(tiny(), folder)
    with raises_exactly(
        ValueError,
        f"{folder} holds a run of another recipe, seed or precision (lr 0.001 there, 0.5 here); "
        "resume with the same ones, or give another --out.",
    ):
        train(tiny(lr=0.5), folder, resume=True)


def test_several_runs_are_trained_at_once(tmp_path):
    runs = train_many([(tiny(), 1), (tiny(), 0)], tmp_path, jobs=1)
    assert [(run.recipe, run.seed, run.failure) for run in runs] == [(tiny(), 1, ""), (tiny(), 0, "")]
    assert weights_checksum(interp.load(runs[0].folder)) == weights_checksum(train(tiny(), seed=1))


def test_a_run_is_packed_into_a_zoo(tmp_path):
    model = train(tiny(), tmp_path / "run", seed=3)
    index = tmp_path / "zoo" / "index.json"
    index.parent.mkdir()
    folder = pack(tmp_path / "run", "words", "What it shows.", index=index)
    assert weights_checksum(interp.load(folder)) == weights_checksum(model)
    assert checkpoint_steps(folder) == checkpoint_steps(tmp_path / "run")
    n_parameters = sum(values.numel() for values in named_parameters(model).values())
    assert json.loads(index.read_text())["words"]["n_parameters"] == n_parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0, "warmup": 0}, "Recipe 'tiny-words': `steps` must be at least 1, got 0."),
        (
            {"task": RepeatedTokens(d_vocab=12, n_pos=13, shortest=2, longest=5)},
            "Recipe 'tiny-words': the model knows 11 token ids, the task draws from 12; change one of them.",
        ),
        (
            {"task": RepeatedTokens(d_vocab=11, n_pos=14, shortest=2, longest=5)},
            "Recipe 'tiny-words': the model reads 13 tokens, the task draws sequences of 14; change one of them.",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_refused(options, message):
    with raises_exactly(ValueError, message):
        tiny(**options)


def test_a_diverging_run_is_stopped(tmp_path):
    with pytest.raises(ValueError, match=r"^Training diverged: the loss is (nan|inf) at step \d+\. Lower `lr`"):
        train(tiny(lr=1e30, warmup=0, clip_norm=None), tmp_path / "run")
    assert checkpoint_steps(tmp_path / "run")[0] == 0


def test_the_command_line_trains_and_goes_on(tmp_path, capsys):
    folder = tmp_path / "run"
    few = ["--batch-size", "2", "--log-every", "1", "--warmup", "1"]
    assert cli.main(["train", "induction-2layer", "--out", str(folder), "--steps", "2", "--seed", "3", *few]) == 0
    assert capsys.readouterr().out == f"Wrote {folder}. See it with: interp report {folder}\n"
    model = interp.load(folder)
    assert describe_model(model).seed == 3
    expected = replace(get_language_recipe("induction-2layer"), steps=2, batch_size=2, log_every=1, warmup=1)
    assert weights_checksum(model) == weights_checksum(train(expected, seed=3))
    assert cli.main(["train", "induction-2layer", "--out", str(folder), "--steps", "2", *few, "--resume"]) == 1
    assert "holds a run of another recipe, seed or precision (seed 3 there, 0 here)" in capsys.readouterr().err


def test_the_command_line_changes_a_field_of_model_and_task(tmp_path):
    folder = tmp_path / "run"
    arguments = ["--steps", "1", "--warmup", "0", "--batch-size", "2", "--model.n-heads", "4", "--task.longest", "20"]
    assert cli.main(["train", "induction-2layer", "--out", str(folder), *arguments]) == 0
    model = load_language(folder)
    assert (model.token_config.n_heads, model.task.longest) == (4, 20)


def test_a_language_model_that_is_to_be_compiled_leaves_the_run_that_is_there(tmp_path):
    train(tiny(steps=2, warmup=0), tmp_path / "run")
    with pytest.raises(ValueError, match="Only models of in-context regression are compiled"):
        train(tiny(steps=2, warmup=0), tmp_path / "run", compile=True, force=True)
    load_language(str(tmp_path / "run"))
