"""The LSTM against PyTorch's own stack of the same weights, and every analysis on it."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import jacobian
from torch.testing import assert_close

import interp
from interp.attribution import ablation_effects, score_heads, token_dependencies, token_dependency
from interp.matching import fitted_weights, sensitivities
from interp.models import HookedRegressor, LSTMConfig, RegressionLSTM, RegressionModel, load_folder, save_folder
from interp.models.build import build_model
from interp.models.folders import describe_model, weights_checksum
from interp.tasks import LinearRegression, Prompts, TokenLayout
from interp.training import Recipe, load_checkpoint, train
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model

OWN = TokenLayout(kind="interleaved")
SHARED = TokenLayout(kind="interleaved", y_position="first", y_slot="shared")
layouts = pytest.mark.parametrize("layout", [OWN, SHARED], ids=["own slot", "shared slot"])


def tiny_lstm(*, n_points: int = 5, seed: int = 1, **options) -> RegressionLSTM:
    """Three layers of width 6 on inputs of dim 3, in double precision."""
    cfg = LSTMConfig(**{"dim": 3, "n_layers": 3, "width": 6, "layout": OWN, **options})
    return RegressionLSTM(cfg, LinearRegression(dim=cfg.dim, n_points=n_points), seed=seed).double()


def stack_of(model: RegressionLSTM, n_layers: int) -> nn.LSTM:
    """PyTorch's LSTM of the first layers, with the model's weights."""
    stack = nn.LSTM(model.cfg.width, model.cfg.width, num_layers=n_layers, batch_first=True).double()
    with torch.no_grad():
        for layer in range(n_layers):
            for name, weight in model.blocks[layer].lstm.named_parameters():
                getattr(stack, name.replace("_l0", f"_l{layer}")).copy_(weight)
    return stack


@layouts
def test_every_layer_holds_what_pytorchs_stack_of_so_many_layers_gives(layout):
    model = tiny_lstm(layout=layout)
    tokens = model.tokens(model.task.sample(4, seed=2))
    _, cache = model.run_with_cache(tokens)
    embedded = tokens @ model.W_E + model.b_E
    assert_close(cache["hook_embed"], embedded)
    assert_close(cache["blocks.0.hook_resid_pre"], embedded)
    for n_layers in (1, 2, 3):
        assert_close(cache[f"blocks.{n_layers - 1}.hook_resid_post"], stack_of(model, n_layers)(embedded)[0])


def test_a_layer_reads_the_one_below_and_nothing_else():
    model = tiny_lstm()
    _, cache = model.run_with_cache(model.tokens(model.task.sample(2)))
    for layer in (1, 2):
        below = cache[f"blocks.{layer - 1}.hook_resid_post"]
        assert torch.equal(cache[f"blocks.{layer}.hook_resid_pre"], below)


@layouts
def test_predictions_are_the_readout_of_the_last_layer_at_every_x(layout):
    model = tiny_lstm(layout=layout)
    tokens = model.tokens(model.task.sample(4))
    predictions, cache = model.run_with_cache(tokens)
    last = cache["blocks.2.hook_resid_post"]
    assert model.predicted_points == (0, 1, 2, 3, 4)
    assert model.prediction_positions(tokens.shape[1]) == [0, 2, 4, 6, 8]
    assert_close(predictions, model.decode(last)[:, ::2])
    assert_close(predictions, (last[:, ::2] @ model.W_U)[..., 0] + model.b_U)


def test_it_follows_the_protocol_of_a_hooked_regressor_without_heads():
    model = tiny_lstm()
    assert isinstance(model, HookedRegressor)
    assert (model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_model) == (3, 0, 6)
    assert not model.asks_in_parallel
    assert not model.reads_one_coordinate


@given(point=st.integers(0, 4), seed=st.integers(0, 1000))
def test_a_prediction_depends_on_its_own_x_and_on_nothing_after_it(point, seed):
    model = tiny_lstm()
    prompts, other = model.task.sample(3, seed=seed), model.task.sample(3, seed=seed + 1)
    xs, ys = prompts.xs.clone(), prompts.ys.clone()
    xs[:, point + 1 :], ys[:, point:] = other.xs[:, point + 1 :], other.ys[:, point:]
    changed = Prompts(xs=xs, ys=ys)
    before, after = (model(model.tokens(p)) for p in (prompts, changed))
    assert torch.equal(before[:, : point + 1], after[:, : point + 1])
    xs[:, point] = other.xs[:, point]
    moved = model(model.tokens(Prompts(xs=xs, ys=ys)))
    assert (moved[:, point] != before[:, point]).all()


def test_initial_weights_are_a_function_of_the_seed_and_lie_within_one_over_the_root_of_the_width():
    same, again, other = (tiny_lstm(seed=seed) for seed in (3, 3, 4))
    assert weights_checksum(same) == weights_checksum(again)
    theirs = dict(other.named_parameters())
    for name, values in same.named_parameters():
        assert (values != theirs[name]).all(), name
        assert values.abs().max() <= 6**-0.5
    all_values = torch.cat([values.flatten() for values in tiny_lstm(width=64).parameters()])
    assert all_values.var().item() == pytest.approx(1 / 64 / 3, rel=0.02)  # of a uniform law on [-1/8, 1/8]


def test_an_untrained_twin_has_the_same_shape_and_precision_and_the_weights_of_its_own_seed():
    model = tiny_lstm(seed=1)
    twin = model.untrained_twin(4)
    assert (twin.cfg, twin.task, twin.W_E.dtype) == (model.cfg, model.task, torch.float64)
    assert weights_checksum(twin) == weights_checksum(tiny_lstm(seed=4)) != weights_checksum(model)


def test_a_config_builds_the_model_of_its_kind():
    lstm, transformer = tiny_lstm(), tiny_model()
    for model in (lstm, transformer):
        built = build_model(model.cfg, model.task, seed=1)
        assert type(built) is type(model)
        assert weights_checksum(built.double()) == weights_checksum(model.untrained_twin(1))


# Folders


@layouts
def test_it_comes_back_from_its_folder_bit_for_bit(layout, tmp_path):
    model = tiny_lstm(layout=layout).float()
    save_folder(tmp_path / "run", model, seed=7)
    back = interp.load(tmp_path / "run")
    assert isinstance(back, RegressionLSTM)
    assert (back.cfg, back.task) == (model.cfg, model.task)
    tokens = model.tokens(model.task.sample(4))
    assert torch.equal(back(tokens), model(tokens))
    assert weights_checksum(back) == weights_checksum(model) == describe_model(back).checksum


def test_its_untrained_twin_is_loaded_by_name(tmp_path):
    model = tiny_lstm().float()
    save_folder(tmp_path / "run", model)
    twin = interp.load(f"untrained:{tmp_path / 'run'},seed=3")
    assert weights_checksum(twin) == weights_checksum(model.untrained_twin(3))
    info = describe_model(twin)
    assert (info.source, info.seed) == ("untrained", 3)


def edit_model(folder, change):
    """Change the record of the model in a folder's config.json."""
    content = json.loads((folder / "config.json").read_text())
    change(content["model"])
    (folder / "config.json").write_text(json.dumps(content))


def test_a_model_of_unsaid_kind_is_a_transformer(tmp_path):
    model = tiny_model().float()
    save_folder(tmp_path, model)
    edit_model(tmp_path, lambda record: record.pop("kind"))
    back = load_folder(tmp_path)
    assert back.cfg == model.cfg
    assert weights_checksum(back) == weights_checksum(model)


def test_a_recipe_of_unsaid_kind_of_model_trains_a_transformer(tmp_path):
    from interp._records import from_record, to_record

    recipe = Recipe(name="old", model=tiny_model().cfg, task=LinearRegression(dim=4, n_points=6))
    record = to_record(recipe)
    del record["model"]["kind"]
    assert from_record(Recipe, record, "the recipe") == recipe


def test_an_unknown_kind_is_refused(tmp_path):
    save_folder(tmp_path, tiny_lstm())
    edit_model(tmp_path, lambda record: record.update(kind="gru"))
    with raises_exactly(
        ValueError,
        f"'model' in {tmp_path / 'config.json'} needs a field 'kind' that says what it describes, 'transformer' or "
        "'lstm' or 'tokens'; got 'gru'.",
    ):
        load_folder(tmp_path)


def test_a_field_of_the_other_kind_is_refused(tmp_path):
    save_folder(tmp_path, tiny_lstm())
    edit_model(tmp_path, lambda record: record.update(n_heads=2))
    with raises_exactly(
        ValueError, f"'model' in {tmp_path / 'config.json'} has fields that LSTMConfig does not know: n_heads."
    ):
        load_folder(tmp_path)


# Errors


@pytest.mark.parametrize("name", ["dim", "n_layers", "width"])
def test_sizes_are_at_least_1(name):
    options: dict[str, Any] = {name: 0}
    with raises_exactly(ValueError, f"`{name}` must be at least 1, got 0."):
        LSTMConfig(layout=OWN, **options)


def test_a_paired_layout_is_refused():
    with raises_exactly(
        ValueError, "An LSTM reads x and y in tokens of their own: use layout.kind='interleaved', not 'paired'."
    ):
        LSTMConfig(layout=TokenLayout(kind="paired"))


def test_a_task_of_another_dim_is_refused():
    with raises_exactly(ValueError, "The model reads inputs of dim 3, the task draws them of dim 4."):
        RegressionLSTM(LSTMConfig(dim=3, layout=OWN), LinearRegression(dim=4, n_points=5))


def test_tokens_of_another_width_are_refused(unchecked):
    with raises_exactly(
        ValueError,
        "Expected tokens of shape [prompt pos 4], got (2, 9, 3). Make them with model.tokens(prompts).",
    ):
        tiny_lstm()(torch.zeros(2, 9, 3, dtype=torch.float64))


def test_several_queries_are_refused():
    model = tiny_lstm()
    with raises_exactly(
        ValueError,
        "This model takes one query per prompt: its queries would see or displace each other. "
        "Use prompts.one_query_each().",
    ):
        model(model.tokens(model.task.sample(2)), n_queries=2)


# Training


EASY = Recipe(
    name="easy",
    model=LSTMConfig(dim=1, n_layers=1, width=16, layout=SHARED),
    task=LinearRegression(dim=1, n_points=4, inputs="exponential"),
    steps=80,
    lr=3e-2,
)
"""Inputs above 0, so that the sign of one y tells that of the next."""


def loss_of(model: RegressionModel, prompts: Prompts) -> float:
    with torch.no_grad():
        return 0.5 * (model(model.tokens(prompts)) - prompts.ys).square().mean().item()


def test_training_teaches_it_an_easy_task():
    model = train(EASY, seed=1)
    assert isinstance(model, RegressionLSTM)
    prompts = model.task.sample(512, seed=5)
    zero = 0.5 * prompts.ys.square().mean().item()
    assert loss_of(model.untrained_twin(1), prompts) > 0.95 * zero
    assert loss_of(model, prompts) < 0.5 * zero


def test_its_run_is_resumed_and_its_checkpoints_are_read(tmp_path):
    recipe = replace(EASY, steps=8)
    model = train(recipe, tmp_path / "run", seed=1)
    then = load_checkpoint(tmp_path / "run", 4)
    assert weights_checksum(then) == weights_checksum(train(replace(recipe, steps=4), seed=1))
    again = train(recipe, tmp_path / "run", seed=1, resume=True)
    assert weights_checksum(again) == weights_checksum(model)


# Analyses


@layouts
@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
def test_the_dependency_map_is_that_of_reverse_mode_jacobians(layout, precision):
    model = tiny_lstm(n_points=4, layout=layout).to(precision)
    prompts = model.task.sample(2, seed=1)
    found = token_dependencies(model, prompts)

    def states(tokens: torch.Tensor) -> torch.Tensor:
        embedded = tokens[None] @ model.W_E.double() + model.b_E.double()
        return torch.stack([embedded[0], *(stack_of(model, n)(embedded)[0][0] for n in (1, 2, 3))])

    for p, tokens in enumerate(model.tokens(prompts).double()):
        derivative = jacobian(states, tokens)  # [layer pos d_model pos d_token]
        expected = derivative.square().sum((2, 4)).sqrt()
        tolerance = 1e-12 if precision is torch.float64 else 1e-6
        assert_close(found[:, p], expected, rtol=10 * tolerance, atol=tolerance)


def test_the_dependency_map_is_causal_and_reaches_back_to_the_first_token():
    model = tiny_lstm()
    last = token_dependency(model, model.task.sample(3), layer=3)
    assert not last.triu(1).any()
    assert (last > 0)[torch.ones_like(last, dtype=torch.bool).tril()].all()


def test_the_dependency_map_leaves_fused_kernels_as_they_were(monkeypatch):
    model = tiny_lstm()
    for fused in (True, False):
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", fused)
        token_dependency(model, model.task.sample(2), layer=1)
        assert bool(torch.backends.mkldnn.enabled) == fused


@pytest.mark.gpu
def test_the_dependency_map_of_a_model_on_cuda_is_that_on_the_cpu():
    model = tiny_lstm()
    prompts = model.task.sample(2)
    expected = token_dependencies(model, prompts)
    found = token_dependencies(model.cuda(), prompts)
    assert found.is_cuda and next(model.parameters()).is_cuda
    assert_close(found.cpu(), expected)


def test_its_sensitivities_are_derivatives_of_its_predictions_by_the_query():
    model = tiny_lstm()
    prompts = model.task.sample(2, seed=1).to(dtype=torch.float64)
    found = sensitivities(model, prompts)[-1]

    def answers(xs: torch.Tensor) -> torch.Tensor:
        return model(model.tokens(Prompts(xs=xs, ys=prompts.ys)))

    derivative = jacobian(answers, prompts.xs)  # [prompt point prompt point dim]
    for p in range(2):
        for t in range(5):
            assert_close(found[p, t], derivative[p, t, p, t])


def test_fitted_weights_explain_part_of_answers_that_are_not_linear_in_the_query():
    model = tiny_lstm(n_layers=1)
    fitted = fitted_weights(model, model.task.sample(4))
    assert ((fitted.r2[1:] > 0) & (fitted.r2[1:] < 1)).all()


@pytest.mark.parametrize("analysis", [score_heads, ablation_effects])
def test_analyses_of_heads_say_that_there_are_none(analysis):
    model = tiny_lstm()
    with raises_exactly(
        ValueError,
        "The model has no attention heads (cfg.n_heads is 0); token_dependency, which needs none, shows what moves "
        "between its positions.",
    ):
        analysis(model, model.task.sample(4))
