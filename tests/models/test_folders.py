import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp.models import RegressionTransformer, TransformerConfig, load_folder, save_folder
from interp.models.folders import describe_model, named_parameters, read_shape, weights_checksum, write_config
from interp.models.language import build_language_model
from interp.models.token_config import TokenModelConfig
from interp.tasks import LinearRegression, RepeatedTokens, SineWaves
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

ARCHITECTURES = {
    "linear": {},
    "looped": {"n_layers": 3, "looped": True, "mlp": "relu"},
    "full": FULL,
    "interleaved": {**FULL, "layout": INTERLEAVED, "causal": True, "attention": ("softmax", "linear")},
    "features": {"read_in": "mlp", "width": 6, "read_in_width": 9, "layer_norm": True, "final_norm": False},
    "damped": {"n_layers": 3, "looped": True, "damping": 0.75, "clamp": 0.5},
}


@pytest.fixture
def run(tmp_path):
    """A whole run folder."""
    save_folder(tmp_path / "run", tiny_model().float(), recipe={"name": "mine"}, seed=7)
    return tmp_path / "run"


def edit_config(run: Path, **changes: Any) -> None:
    content = json.loads((run / "config.json").read_text())
    for key, value in changes.items():
        content.pop(key) if value is None else content.update({key: value})
    (run / "config.json").write_text(json.dumps(content))


def edit_weights(run: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(run / "model.safetensors")
    change(weights)
    save_file(weights, run / "model.safetensors")


@pytest.mark.parametrize("options", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def test_a_model_comes_back_from_its_folder_bit_for_bit(options, tmp_path):
    model = tiny_model(**options).float()
    save_folder(tmp_path / "deep" / "run", model)
    back = load_folder(tmp_path / "deep" / "run")
    assert (back.cfg, back.task) == (model.cfg, model.task)
    tokens = model.tokens(model.task.sample(4))
    assert torch.equal(back(tokens), model(tokens))
    assert weights_checksum(back) == weights_checksum(model) == describe_model(back).checksum


@pytest.mark.parametrize(
    "task",
    [
        SineWaves(),
        SineWaves(n_points=5, low=-1.0, high=3.0, coupled=True),
        LinearRegression(dim=1, inputs="exponential", normalize_context=True, distractors=2),
    ],
    ids=["waves", "coupled waves", "linear"],
)
def test_a_folder_holds_any_task(task, tmp_path):
    cfg = TransformerConfig(dim=1, n_layers=1)
    write_config(tmp_path, cfg, task, recipe=None, seed=None)
    assert read_shape(tmp_path)[:2] == (cfg, task)
    save_folder(tmp_path, RegressionTransformer(cfg, task))
    assert load_folder(tmp_path).task == task


def test_a_task_of_unsaid_kind_is_refused(run):
    content = json.loads((run / "config.json").read_text())
    del content["task"]["kind"]
    edit_config(run, task=content["task"])
    with raises_exactly(
        ValueError,
        f"'task' in {run / 'config.json'} needs a field 'kind' that says what it describes, 'linear_regression' or "
        "'sine_waves' or 'relu_networks' or 'decision_trees'; got none.",
    ):
        load_folder(run)


def test_looped_layers_are_saved_once_and_still_shared_when_loaded(tmp_path):
    model = tiny_model(n_layers=3, looped=True).float()
    save_folder(tmp_path, model)
    assert {name.split(".")[1] for name in load_file(tmp_path / "model.safetensors")} == {"0"}
    back = load_folder(tmp_path)
    assert back.blocks[2].attn.W_O is back.blocks[0].attn.W_O


TOKENS = TokenModelConfig(d_vocab=30, n_ctx=25, n_heads=2, d_model=12)
REPEATED = RepeatedTokens(d_vocab=30, n_pos=25, shortest=3, longest=9, bos=4)


def test_a_language_model_comes_back_from_its_folder_bit_for_bit(tmp_path):
    model = build_language_model(TOKENS, REPEATED, seed=3)
    save_folder(tmp_path / "run", model, recipe={"name": "mine"}, seed=7)
    back = load_folder(tmp_path / "run")
    assert (back.token_config, back.task) == (TOKENS, REPEATED)
    tokens = REPEATED.sample(4).tokens
    assert torch.equal(back(tokens), model(tokens))
    info = describe_model(back)
    assert weights_checksum(back) == weights_checksum(model) == info.checksum
    assert (info.name, info.source, info.seed, info.recipe) == (str(tmp_path / "run"), "run", 7, {"name": "mine"})


def test_the_weights_of_a_language_model_bear_transformer_lens_names(tmp_path):
    model = build_language_model(TOKENS, REPEATED)
    save_folder(tmp_path, model)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert names == set(named_parameters(model)) < set(model.state_dict())
    assert {"embed.weight", "pos_embed.weight", "blocks.0.attn.q.weight", "unembed.weight"} < names


def test_the_weights_of_a_language_model_are_checked_alike(tmp_path):
    save_folder(tmp_path, build_language_model(TOKENS, REPEATED))
    edit_weights(tmp_path, lambda weights: weights.update({"embed.weight": torch.zeros(30, 5)}))
    with raises_exactly(
        ValueError,
        f"{tmp_path / 'model.safetensors'}: embed.weight has shape (30, 5), config.json describes (30, 12).",
    ):
        load_folder(tmp_path)


def test_a_language_model_of_another_make_is_not_saved(tmp_path):
    model = build_language_model(TOKENS, REPEATED)
    del model.token_config
    with raises_exactly(
        ValueError,
        "Of language models only those built here can be saved here; keep the folder that it came in.",
    ):
        save_folder(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()


def test_the_task_of_a_language_model_is_one_of_tokens(tmp_path):
    save_folder(tmp_path, build_language_model(TOKENS, REPEATED))
    content = json.loads((tmp_path / "config.json").read_text())
    edit_config(tmp_path, task=content["task"] | {"kind": "sine_waves"})
    with raises_exactly(
        ValueError,
        f"'task' in {tmp_path / 'config.json'} does not describe a valid RepeatedTokens: kind: Input should be "
        "'repeated_tokens'.",
    ):
        load_folder(tmp_path)


@pytest.mark.parametrize("options", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def test_parameters_are_named_as_pytorch_names_them(options):
    model = tiny_model(**options)
    assert {name: id(values) for name, values in named_parameters(model).items()} == {
        name: id(values) for name, values in model.named_parameters()
    }


def test_a_loaded_model_says_where_it_comes_from(run):
    info = describe_model(load_folder(run))
    assert (info.name, info.source, info.seed, info.recipe) == (str(run), "run", 7, {"name": "mine"})
    assert set(info.versions) == {"interp", "torch", "transformer-lens", "numpy"}


def test_a_model_made_in_python_is_described_by_its_class():
    info = describe_model(tiny_model())
    assert (info.name, info.source) == ("RegressionTransformer", "python")


def test_the_checksum_sees_every_weight_and_every_name():
    model = tiny_model().float()
    checksums = {weights_checksum(model)}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.view(-1)[-1] += 1e-6
            checksums.add(weights_checksum(model))
    model.W_new = torch.nn.Parameter(torch.zeros(1))
    checksums.add(weights_checksum(model))
    assert len(checksums) == len(list(model.parameters())) + 1


def test_nothing_but_whole_files_is_left_behind(run):
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "model.safetensors"]


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "nowhere"
    with raises_exactly(
        FileNotFoundError,
        f"{path} is not a folder; expected a run folder with config.json and model.safetensors.",
    ):
        load_folder(path)


def test_a_folder_without_config_is_no_run(run):
    (run / "config.json").unlink()
    with raises_exactly(FileNotFoundError, f"{run} is not a run folder: it has no config.json."):
        load_folder(run)


def test_a_folder_without_weights_may_be_an_unfinished_run(run):
    (run / "model.safetensors").unlink()
    with raises_exactly(FileNotFoundError, f"{run} has no model.safetensors; it may be an unfinished run."):
        load_folder(run)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_pickle_is_pointed_out_and_never_opened(run, missing):
    (run / missing).unlink()
    (run / "state.pt").write_bytes(pickle.dumps({"model_state_dict": {}}))
    reason = {
        "config.json": f"{run} is not a run folder: it has no config.json.",
        "model.safetensors": f"{run} has no model.safetensors; it may be an unfinished run.",
    }[missing]
    with raises_exactly(
        FileNotFoundError,
        f"{reason} It holds state.pt, a pickle: those can run code and are never opened here.",
    ):
        load_folder(run)


class Bomb:
    """Unpickling this would fail the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_pickle_under_another_name_is_not_opened(run, protocol):
    path = run / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with raises_exactly(
        ValueError, f"{path} is a pickle under another name. Pickles can run code and are never opened."
    ):
        load_folder(run)


def test_a_zipped_torch_file_under_another_name_is_not_opened(run):
    path = run / "model.safetensors"
    torch.save({"w": torch.zeros(2)}, path)
    with raises_exactly(
        ValueError, f"{path} is a pickle under another name. Pickles can run code and are never opened."
    ):
        load_folder(run)


def test_a_weights_file_whose_header_has_the_length_that_a_pickle_begins_with_is_read(run):
    """Its first byte is 0x80, a pickle's, where the header's length leaves 128 over a multiple of 256."""
    path = run / "model.safetensors"
    for extra in range(256):
        save_file(load_file(path), path, metadata={"note": "x" * extra})
        if path.read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no header of that length")
    load_folder(run)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_truncated_weights_file_is_refused(run, kept):
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        ValueError, match=r"is truncated or not a safetensors file \(.+\); restore it, or train again\.$"
    ):
        load_folder(run)


def test_a_config_that_is_not_json_is_refused(run):
    path = run / "config.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON \(.+\); restore it, or train again\.$"):
        load_folder(run)


def test_binary_rubbish_for_a_config_is_refused(run):
    (run / "config.json").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON \(.+\); restore it, or train again\.$"):
        load_folder(run)


@pytest.mark.parametrize("schema", ["interp-run/2", None])
def test_another_schema_is_refused(run, schema):
    edit_config(run, schema=schema)
    with raises_exactly(
        ValueError,
        f"{run / 'config.json'} has schema {schema!r}, this version reads 'interp-run/1'. "
        "Open it with the version of interp that wrote it, or train again.",
    ):
        load_folder(run)


def test_a_config_that_is_no_object_is_refused(run):
    (run / "config.json").write_text("[1, 2]")
    with raises_exactly(
        ValueError,
        f"{run / 'config.json'} has schema None, this version reads 'interp-run/1'. "
        "Open it with the version of interp that wrote it, or train again.",
    ):
        load_folder(run)


def test_a_config_without_task_is_refused(run):
    edit_config(run, task=None)
    with raises_exactly(ValueError, f"{run / 'config.json'} lacks task; restore it, or train again."):
        load_folder(run)


@pytest.mark.parametrize(
    ("key", "changes", "problem"),
    [
        (
            "model",
            {"n_layers": "two"},
            "does not describe a valid TransformerConfig: n_layers: Input should be a valid integer, "
            "unable to parse string as an integer.",
        ),
        (
            "model",
            {"width": 64},
            "does not describe a valid TransformerConfig: An identity read-in makes the stream 5 "
            "wide, got width=64; use read_in='linear'.",
        ),
        (
            "task",
            {"n_points": "many"},
            "does not describe a valid LinearRegression: n_points: Input should be a valid integer, "
            "unable to parse string as an integer.",
        ),
        ("task", {"colour": "red"}, "has fields that LinearRegression does not know: colour."),
        (
            "model",
            {"layout": {"kind": "paired", "y": 1}},
            "has fields that TransformerConfig does not know: layout.y.",
        ),
    ],
)
def test_fields_that_are_wrong_or_unknown_are_named(run, key, changes, problem):
    content = json.loads((run / "config.json").read_text())
    edit_config(run, **{key: content[key] | changes})
    with raises_exactly(ValueError, f"{key!r} in {run / 'config.json'} {problem}"):
        load_folder(run)


def test_missing_and_unknown_tensors_are_named(run):
    def rename(weights):
        weights["W_mystery"] = weights.pop("blocks.0.attn.W_Q")

    edit_weights(run, rename)
    with raises_exactly(
        ValueError,
        f"{run / 'model.safetensors'} does not hold the weights that config.json describes: "
        "missing ['blocks.0.attn.W_Q'], unknown ['W_mystery'].",
    ):
        load_folder(run)


def test_extra_tensors_are_not_ignored(run):
    edit_weights(run, lambda weights: weights.update(extra=torch.zeros(1)))
    with raises_exactly(
        ValueError,
        f"{run / 'model.safetensors'} does not hold the weights that config.json describes: "
        "missing none, unknown ['extra'].",
    ):
        load_folder(run)


def test_a_tensor_of_another_shape_is_refused(run):
    edit_weights(run, lambda weights: weights.update({"blocks.1.attn.W_O": torch.zeros(2, 3, 6)}))
    with raises_exactly(
        ValueError,
        f"{run / 'model.safetensors'}: blocks.1.attn.W_O has shape (2, 3, 6), config.json describes (2, 3, 5).",
    ):
        load_folder(run)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(run, bad):
    edit_weights(run, lambda weights: weights["blocks.1.attn.W_V"].view(-1)[3:4].fill_(bad))
    with raises_exactly(
        ValueError,
        f"{run / 'model.safetensors'}: blocks.1.attn.W_V holds NaN or infinite values; "
        "the run diverged or the file is damaged.",
    ):
        load_folder(run)


def test_a_broken_file_leaves_no_half_loaded_model(run):
    """Weights are checked before the first is copied."""
    from interp.models.folders import read_weights_into

    edit_weights(run, lambda weights: weights["blocks.1.attn.W_V"].fill_(torch.nan))
    model = RegressionTransformer(tiny_model().cfg, tiny_model().task, seed=9)
    before = weights_checksum(model)
    with pytest.raises(ValueError, match="NaN"):
        read_weights_into(model, run / "model.safetensors")
    assert weights_checksum(model) == before
