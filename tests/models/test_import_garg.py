"""Runs of Garg et al.'s released code: the same model, read without running anything."""

import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import interp
from interp.models import RegressionTransformer, import_garg, save_folder
from interp.models.folders import weights_checksum
from interp.tasks import ConditionNumber, LinearRegression
from interp.training.pack import pack
from tests.errors import raises_exactly
from tests.models.garg_runs import CONFIG, Original, changed, old_buffers, write_run

EXPECTED = "expected a run folder of Garg et al.'s code, with config.yaml and state.pt"
PAIR = "Bring together the two files that one run wrote."
AS_WRITTEN = "Give a run folder of the released code as it was written."
RESTORE = "Restore the config that the run was started with."
REFUSED = (
    "and what a pickle asks for can be code: it was refused, and nothing in it was executed. Expected tensors and "
    "plain numbers alone. If you trust the file, save its model_state_dict anew with the code that wrote it; if it was "
    "damaged on its way, copy it again."
)


@pytest.fixture
def run(tmp_path) -> Path:
    """A whole run folder."""
    write_run(tmp_path / "run")
    return tmp_path / "run"


def edit_state(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(run / "state.pt", weights_only=True)
    change(state)
    torch.save(state, run / "state.pt")


def edit_weights(run: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    edit_state(run, lambda state: change(state["model_state_dict"]))


def imported_with(tmp_path: Path, **changes: Any) -> RegressionTransformer:
    write_run(tmp_path / "run", changed(**changes))
    return import_garg(tmp_path / "run")


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


# The same model


@pytest.mark.parametrize("buffers", [False, True], ids=["", "old masks"])
@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("sizes", [{}, {"n_embd": 12, "n_head": 3, "n_layer": 3}, {"n_dims": 1, "n_head": 1}], ids=str)
def test_predictions_and_every_hidden_state_are_the_originals(sizes, double, buffers, tmp_path):
    config = changed(model=CONFIG["model"] | sizes, training__curriculum__dims=None)
    original = write_run(tmp_path, config, buffers=buffers)
    model = import_garg(tmp_path)
    prompts = model.task.sample(6, seed=1)
    xs, ys = prompts.xs, prompts.ys
    if double:
        model, original, xs, ys = model.double(), original.double(), xs.double(), ys.double()
    with torch.no_grad():
        predictions, embedded, states = original(xs, ys)
        ours, cache = model.run_with_cache(model.tokens(prompts))
    n_pos = 2 * model.task.n_points - 1  # ours ends with the last x
    layers = [cache["blocks.0.hook_resid_pre"]] + [
        cache[f"blocks.{layer}.hook_resid_post"] for layer in range(model.cfg.n_layers)
    ]
    assert len(layers) == len(states) == model.cfg.n_layers + 1
    tolerance = 1e-12 if double else 1e-5
    assert ours.shape == ys.shape
    assert relative_error(ours, predictions) < tolerance
    assert relative_error(cache["hook_embed"], embedded[:, :n_pos]) < tolerance
    for ours_at, theirs_at in zip(layers, states, strict=True):
        for pos in range(n_pos):
            assert relative_error(ours_at[:, pos], theirs_at[:, pos]) < tolerance


@pytest.mark.parametrize("name", ["attn.c_proj", "_read_out", "ln_f", "wpe", "mlp.c_fc", "c_attn", "_read_in", "ln_1"])
def test_the_comparison_sees_every_tensor(run, name):
    """What the original computes depends on each of them, so a tensor in the wrong place would show."""
    prompts = import_garg(run).task.sample(4)
    original = Original(CONFIG)
    with torch.no_grad():
        before = original(prompts.xs, prompts.ys)[0]
        for path, parameter in original.named_parameters():
            if name in path:
                parameter.copy_(parameter.flip(-1))
        after = original(prompts.xs, prompts.ys)[0]
    assert relative_error(after, before) > 1e-2


def test_a_transposed_map_gives_another_model(run):
    """GPT-2 stores its maps [in out], as we do; the square one among them would fit the other way round as well."""
    before = import_garg(run)
    name = "_backbone.h.0.attn.c_proj.weight"
    edit_weights(run, lambda weights: weights.update({name: weights[name].T.contiguous()}))
    after = import_garg(run)
    tokens = before.tokens(before.task.sample(4))
    assert relative_error(after(tokens), before(tokens)) > 1e-2


def test_every_position_of_the_original_is_there(run):
    original = Original(CONFIG)
    model = import_garg(run)
    prompts = LinearRegression(dim=3, n_points=7, inputs="gaussian").sample(4)  # training ended at 5 points
    with torch.no_grad():
        assert relative_error(model(model.tokens(prompts)), original(prompts.xs, prompts.ys)[0]) < 1e-5


def test_prompts_longer_than_the_positions_are_refused(run):
    model = import_garg(run)
    prompts = LinearRegression(dim=3, n_points=8).sample(2)
    with raises_exactly(
        ValueError, "The model has 14 learned positions, the prompts have 15 tokens; use shorter prompts."
    ):
        model(model.tokens(prompts))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_another_precision_become_single(run, dtype):
    expected = import_garg(run)
    edit_weights(run, lambda weights: weights.update({name: values.to(dtype) for name, values in weights.items()}))
    model = import_garg(run)
    for (name, ours), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert ours.dtype == torch.float32, name
        assert_close(ours, theirs.to(dtype).float())


def test_the_folder_is_left_as_it_was(run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    import_garg(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


# What is noted


def test_a_round_trip_keeps_the_model_and_where_it_came_from(run, tmp_path):
    model = import_garg(run)
    assert model.info is not None
    save_folder(tmp_path / "ours", model, recipe=model.info.recipe, source=model.info.source)
    back = interp.load(tmp_path / "ours")
    assert (back.cfg, back.task) == (model.cfg, model.task)
    tokens = model.tokens(model.task.sample(4))
    assert torch.equal(back(tokens), model(tokens))
    assert back.info is not None
    assert (back.info.source, back.info.seed, back.info.recipe) == ("import", None, model.info.recipe)
    assert back.info.checksum == model.info.checksum == weights_checksum(model)


def test_the_training_settings_are_kept_as_they_were(run):
    info = import_garg(run).info
    assert info is not None
    assert (info.name, info.source, info.folder) == (str(run), "import", None)
    assert info.recipe == {"name": "import-garg", "train_step": 500000, "training": CONFIG["training"]}


def test_settings_that_json_lacks_become_text(tmp_path):
    model = imported_with(tmp_path, training__notes={1: float("nan"), "since": [float("inf")]})
    assert model.info is not None
    assert model.info.recipe is not None
    assert model.info.recipe["training"]["notes"] == {"1": "nan", "since": ["inf"]}
    json.dumps(model.info.recipe, allow_nan=False)


def test_a_state_without_a_step_is_read(run):
    edit_state(run, lambda state: (state.pop("train_step"), state.pop("optimizer_state_dict")))
    info = import_garg(run).info
    assert info is not None
    assert info.recipe is not None
    assert info.recipe["train_step"] is None


def test_an_imported_run_does_not_go_into_the_zoo(run, tmp_path):
    model = import_garg(run)
    assert model.info is not None
    save_folder(tmp_path / "ours", model, recipe=model.info.recipe, source="import")
    with raises_exactly(
        ValueError,
        f"{tmp_path / 'ours'} was not trained by a recipe; the zoo holds models that can be trained again.",
    ):
        pack(tmp_path / "ours", "garg", "A model.", index=tmp_path / "zoo" / "index.json")


# The task


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"training__task_kwargs": None}, {}),
        ({"training__task_kwargs": {"scale": 3}}, {"weight_scale": 3.0}),
        ({"training__task": "noisy_linear_regression"}, {}),
        (
            {
                "training__task": "noisy_linear_regression",
                "training__task_kwargs": {"noise_std": 0.5, "scale": 2, "renormalize_ys": False},
            },
            {"noise_std": 0.5, "weight_scale": 2.0},
        ),
        ({"training__task": "sparse_linear_regression"}, {"sparsity": 3}),
        ({"training__task": "sparse_linear_regression", "training__task_kwargs": {"sparsity": 2}}, {"sparsity": 2}),
        ({"training__task": "sparse_linear_regression", "training__task_kwargs": {"sparsity": 9}}, {"sparsity": 3}),
        ({"training__data": "skew"}, {"covariance": ConditionNumber(value=100.0)}),
        ({"training__data": None}, {}),
        ({"training__curriculum": None}, {"n_points": 7}),
        ({"training__curriculum__points": None}, {"n_points": 7}),
        ({"training__curriculum__points__end": 7}, {"n_points": 7}),
        ({"training__curriculum__dims__end": 20}, {}),
        ({"training__num_tasks": 100, "training__num_training_examples": 10000}, {}),
    ],
    ids=str,
)
def test_the_task_is_the_law_of_the_last_prompts(changes, expected, tmp_path):
    task = imported_with(tmp_path, **changes).task
    assert task == LinearRegression(**{"dim": 3, "n_points": 5, "inputs": "gaussian", **expected})


KNOWN = "(linear_regression, noisy_linear_regression, sparse_linear_regression)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            (
                {"training__task": name},
                f"the model was trained on the task {name!r}; this tool imports linear regression runs {KNOWN}. "
                "Give the run folder of one.",
            )
            for name in ("decision_tree", "relu_2nn_regression", "linear_classification", None)
        ),
        (
            {"training": "everything"},
            "training must be a section of named settings, got a str. Expected the config.yaml that the released code "
            "writes.",
        ),
        ({"training__data": "laplace"}, "training.data must be 'gaussian' or 'skew', got 'laplace'."),
        (
            {"training__task_kwargs": {"noise_std": 1.0, "scale": 1}},
            "training.task_kwargs has noise_std, which linear_regression does not know; it takes scale. "
            "What the prompts were cannot be told.",
        ),
        ({"training__task_kwargs": [1]}, "training.task_kwargs must be a section of named settings, got [1]."),
        (
            {"training__task": "noisy_linear_regression", "training__task_kwargs": {"renormalize_ys": True}},
            "training.task_kwargs.renormalize_ys divides the targets by their spread over a batch, which no task of "
            "ours does; a model trained so cannot be imported.",
        ),
        *(
            (
                {"training__task_kwargs": {"scale": value}},
                f"training.task_kwargs.scale must be a finite number of at least 0, got {shown}.",
            )
            for value, shown in ((-1, "-1"), ("big", "'big'"), (float("inf"), "'inf'"), (True, "True"))
        ),
        (
            {"training__task": "sparse_linear_regression", "training__task_kwargs": {"sparsity": 0}},
            "training.task_kwargs.sparsity must be a whole number of at least 1, got 0.",
        ),
        (
            {"training__curriculum__dims__end": 2},
            "training ended with 2 of the 3 input coordinates in use (training.curriculum.dims.end) and the others at "
            "0, which no task of ours does; a model trained so cannot be imported.",
        ),
        (
            {"training__curriculum__points__end": 8},
            "training.curriculum.points.end is 8, and the model has positions for 7 points (model.n_positions). "
            + RESTORE,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_prompts_that_no_task_of_ours_has_are_refused(changes, message, tmp_path):
    write_run(tmp_path, model=Original(CONFIG), config=changed(**changes))
    with raises_exactly(ValueError, f"{tmp_path / 'config.yaml'}: {message}"):
        import_garg(tmp_path)


# Folders and configs


def test_a_missing_folder_is_named(tmp_path):
    with raises_exactly(FileNotFoundError, f"{tmp_path / 'nowhere'} is not a folder; {EXPECTED}."):
        import_garg(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        (["config.yaml"], "config.yaml"),
        (["state.pt"], "state.pt"),
        (["config.yaml", "state.pt"], "config.yaml and no state.pt"),
    ],
)
def test_missing_files_are_named(run, gone, named):
    for name in gone:
        (run / name).unlink()
    with raises_exactly(FileNotFoundError, f"{run} has no {named}; {EXPECTED}."):
        import_garg(run)


def test_a_run_folder_of_ours_needs_no_import(run, tmp_path):
    save_folder(tmp_path / "ours", import_garg(run))
    with raises_exactly(
        FileNotFoundError,
        f"{tmp_path / 'ours'} is a run folder of ours already; there is nothing to import. Load it as it is.",
    ):
        import_garg(tmp_path / "ours")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"model: [1", r".*expected ',' or '\]', but got '<stream end>'.*"),
        (b"model: \xff\xfe", r".*"),
        (b"model: 2022-13-45", r"month must be in 1\.\.12"),
        (b"[" * 5000, r"it nests too deep"),
        (b"&a [*a]", r"it holds more than 2000 entries, or nests more than 20 deep"),
        (
            b"\n".join(
                [b"a0: &a0 [1]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]".encode() for i in range(1, 15))]
            ),
            r"it holds more than 2000 entries, or nests more than 20 deep",
        ),
    ],
    ids=["cut", "bytes", "date", "deep", "circle", "laughs"],
)
def test_a_config_that_is_not_plain_yaml_is_refused(run, text, problem):
    (run / "config.yaml").write_bytes(text)
    with pytest.raises(
        ValueError, match=rf"^.*config\.yaml is not plain YAML \({problem}\); restore it from the original run\.$"
    ):
        import_garg(run)


def test_a_config_that_carries_code_is_refused_and_not_executed(run, tmp_path):
    mark = tmp_path / "executed"
    (run / "config.yaml").write_text(f"model: !!python/object/apply:os.mkdir [{str(mark)!r}]")
    with pytest.raises(ValueError, match=r"is not plain YAML \(could not determine a constructor for the tag"):
        import_garg(run)
    assert not mark.exists()


@pytest.mark.parametrize(("text", "kind"), [("[1, 2]", "list"), ("hello", "str")])
def test_a_config_without_sections_is_refused(run, text, kind):
    (run / "config.yaml").write_text(text)
    with raises_exactly(
        ValueError,
        f"{run / 'config.yaml'}: the file must be a section of named settings, got a {kind}. "
        "Expected the config.yaml that the released code writes.",
    ):
        import_garg(run)


@pytest.mark.parametrize("family", ["lstm", "relu_attn", "decision_tree", None])
def test_another_architecture_is_refused(run, family):
    write_run(run, changed(model__family=family), model=Original(CONFIG))
    with raises_exactly(
        ValueError,
        f"{run / 'config.yaml'} describes a model of family {family!r}; only GPT-2 backbones can be imported "
        "(family 'gpt2'). Give the run folder of a transformer.",
    ):
        import_garg(run)


def test_an_empty_config_describes_no_family(run):
    (run / "config.yaml").write_text("")
    with raises_exactly(
        ValueError,
        f"{run / 'config.yaml'} describes a model of family None; only GPT-2 backbones can be imported "
        "(family 'gpt2'). Give the run folder of a transformer.",
    ):
        import_garg(run)


@pytest.mark.parametrize(
    ("value", "came"), [(None, "nothing"), (0, "0"), (-2, "-2"), (2.0, "2.0"), ("two", "'two'"), (True, "True")]
)
@pytest.mark.parametrize("name", ["n_dims", "n_embd", "n_head", "n_layer", "n_positions"])
def test_sizes_are_whole_numbers(run, name, value, came):
    write_run(run, changed(**{f"model__{name}": value}), model=Original(CONFIG))
    with raises_exactly(
        ValueError, f"{run / 'config.yaml'}: model.{name} must be a whole number of at least 1, got {came}."
    ):
        import_garg(run)


def test_heads_must_divide_the_width(run):
    write_run(run, changed(model__n_head=3), model=Original(CONFIG))
    with raises_exactly(
        ValueError,
        f"{run / 'config.yaml'}: model.n_head must divide model.n_embd, got 3 heads for a width of 8. {RESTORE}",
    ):
        import_garg(run)


# Weights


class Bomb:
    """Unpickling it leaves a folder behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def pickler(protocol: int) -> Callable[[object, Path], object]:
    """What writes a bare pickle."""
    return lambda value, path: path.write_bytes(pickle.dumps(value, protocol))


WRITERS: dict[str, Callable[[object, Path], object]] = {
    "zip": torch.save,
    "old": partial(torch.save, _use_new_zipfile_serialization=False),
    **{f"pickle {protocol}": pickler(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_pickle_that_carries_code_is_refused_and_not_executed(run, tmp_path, writer):
    mark = tmp_path / "executed"
    WRITERS[writer]({"model_state_dict": {}, "train_step": Bomb(mark)}, run / "state.pt")
    module = os.mkdir.__module__
    foreign = writer in ("pickle 0", "pickle 4", "pickle 5")  # PyTorch does not know all their instructions
    asks = "holds instructions beside tensors and plain numbers" if foreign else f"asks to import {module}.mkdir"
    with raises_exactly(ValueError, f"{run / 'state.pt'} {asks}, {REFUSED}"):
        import_garg(run)
    assert not mark.exists()
    with suppress(Exception):
        torch.load(run / "state.pt", weights_only=False)  # the bomb was live
    assert mark.exists()


def test_a_pickled_module_is_refused(run):
    torch.save(torch.nn.Linear(2, 2), run / "state.pt")
    with raises_exactly(ValueError, f"{run / 'state.pt'} asks to import torch.nn.modules.linear.Linear, {REFUSED}"):
        import_garg(run)


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, -30, -1])
def test_a_truncated_state_is_refused(run, kept):
    path = run / "state.pt"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with raises_exactly(
        ValueError, f"{path} is truncated or not a file that torch.save wrote; copy it again from the original run."
    ):
        import_garg(run)


def test_text_for_a_state_is_refused(run):
    (run / "state.pt").write_text("hello")
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'} is truncated or not a file that torch.save wrote; copy it again from the original run.",
    ):
        import_garg(run)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1], "a list"),
        ({}, "nothing"),
        ({"weights": 1}, "'weights'"),
        (dict.fromkeys("abcdef"), "'a', 'b', 'c', 'd' and 2 more"),
    ],
    ids=str,
)
def test_a_state_without_weights_says_what_it_holds(run, content, found):
    torch.save(content, run / "state.pt")
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'} has no 'model_state_dict', it holds {found}. Expected what the released code's train.py "
        "saves: model_state_dict, optimizer_state_dict and train_step.",
    ):
        import_garg(run)


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ([1], "must hold tensors by name, got a list."),
        ({"_read_in.weight": 3}, "must hold dense tensors by name, got a int as '_read_in.weight'."),
        ({3: torch.zeros(1)}, "must hold dense tensors by name, got a Tensor as 3."),
        ({"a": torch.eye(2).to_sparse()}, "must hold dense tensors by name, got a Tensor as 'a'."),
    ],
    ids=str,
)
def test_weights_are_dense_tensors_by_name(run, weights, problem):
    torch.save({"model_state_dict": weights}, run / "state.pt")
    with raises_exactly(ValueError, f"{run / 'state.pt'}: 'model_state_dict' {problem}"):
        import_garg(run)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_embd": 16}, "n_embd is 16 in the config and 8 in the weights"),
        ({"n_dims": 4}, "n_dims is 4 in the config and 3 in the weights"),
        ({"n_positions": 9}, "n_positions is 9 in the config and 7 in the weights"),
        ({"n_layer": 3}, "n_layer is 3 in the config and 2 in the weights"),
        ({"n_layer": 1}, "n_layer is 1 in the config and 2 in the weights"),
        (
            {"n_layer": 3, "n_embd": 4},
            "n_embd is 4 in the config and 8 in the weights; n_layer is 3 in the config and 2 in the weights",
        ),
    ],
    ids=str,
)
def test_sizes_that_contradict_the_weights_are_named(run, changes, problem):
    config = changed(model=CONFIG["model"] | changes, training__curriculum__dims=None)
    write_run(run, config, model=Original(CONFIG))
    with raises_exactly(ValueError, f"{run}: config.yaml and state.pt contradict each other: {problem}. {PAIR}"):
        import_garg(run)


def test_missing_and_unknown_tensors_are_named(run):
    def rename(weights):
        weights["W_mystery"] = weights.pop("_backbone.h.0.mlp.c_fc.weight")

    edit_weights(run, rename)
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'} does not hold the GPT-2 model that config.yaml describes: missing "
        f"_backbone.h.0.mlp.c_fc.weight; unknown W_mystery. {AS_WRITTEN}",
    ):
        import_garg(run)


def test_the_weights_of_an_lstm_are_refused(run):
    lstm = torch.nn.LSTM(8, 8, 2)
    weights = {f"_backbone.{name}": values for name, values in lstm.state_dict().items()}
    weights |= {f"_read_in.{name}": values for name, values in torch.nn.Linear(3, 8).state_dict().items()}
    edit_state(run, lambda state: state.update(model_state_dict=weights))
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'} does not hold the GPT-2 model that config.yaml describes: missing "
        "_backbone.h.0.attn.c_attn.bias, _backbone.h.0.attn.c_attn.weight, _backbone.h.0.attn.c_proj.bias, "
        "_backbone.h.0.attn.c_proj.weight and 25 more; unknown _backbone.bias_hh_l0, _backbone.bias_hh_l1, "
        f"_backbone.bias_ih_l0, _backbone.bias_ih_l1 and 4 more. {AS_WRITTEN}",
    ):
        import_garg(run)


def test_a_tensor_of_another_shape_is_refused(run):
    edit_weights(run, lambda weights: weights.update({"_read_out.weight": torch.zeros(2, 8)}))
    with raises_exactly(
        ValueError, f"{run / 'state.pt'}: _read_out.weight has shape (2, 8), config.yaml describes (1, 8). {PAIR}"
    ):
        import_garg(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run, value):
    def spoil(weights):
        weights["_backbone.h.1.ln_2.bias"][3] = value

    edit_weights(run, spoil)
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'}: _backbone.h.1.ln_2.bias holds NaN or infinite values; the run diverged or the file is "
        "damaged. Give another run, or copy the file again.",
    ):
        import_garg(run)


def test_weights_are_floating_point_numbers(run):
    edit_weights(run, lambda weights: weights.update({"_read_out.bias": torch.zeros(1, dtype=torch.int64)}))
    with raises_exactly(
        ValueError,
        f"{run / 'state.pt'}: _read_out.bias holds torch.int64 values, expected floating-point ones. {AS_WRITTEN}",
    ):
        import_garg(run)


def test_what_nothing_depends_on_may_be_damaged_or_missing(run):
    expected = weights_checksum(import_garg(run))

    def change(weights):
        del weights["_backbone.wte.weight"]
        weights.update({name: values * float("nan") for name, values in old_buffers(CONFIG).items()})

    edit_weights(run, change)
    assert weights_checksum(import_garg(run)) == expected
