"""Every recipe trains; lsa-1layer, shortened, already finds what the published one-layer model found."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from interp._records import from_record, to_record
from interp.matching import align, effective_steps
from interp.models import RegressionTransformer
from interp.models.build import build_model
from interp.models.lstm_config import LSTMConfig
from interp.solvers import tune
from interp.tasks import ConditionNumber, LinearRegression, SineWaves
from interp.training import RECIPES, Recipe, get_recipe, train
from interp.training.recipes import DEPTHS, HIDDEN_SIZES
from tests.training.recipes import transformer_of

OSWALD = LinearRegression(dim=10, n_points=11, inputs="uniform")
every_recipe = pytest.mark.parametrize("name", sorted(RECIPES))
every_regression_recipe = pytest.mark.parametrize(
    "name", sorted(name for name, recipe in RECIPES.items() if isinstance(recipe, Recipe))
)


@pytest.fixture(scope="module")
def prompts(short_run):
    return short_run.task.sample(20_000, seed=99)


@pytest.fixture(scope="module")
def best_step(prompts):
    return tune("gd", prompts)


def test_one_linear_layer_is_within_half_a_percent_of_the_best_gradient_step(short_run, prompts, best_step):
    with torch.no_grad():
        predictions = short_run(short_run.tokens(prompts))[:, 0]
    loss = 0.5 * (predictions - prompts.ys[:, -1]).square().mean().item()
    assert loss < 5 / 12
    assert loss == pytest.approx(best_step.loss, rel=0.005)


def test_its_answers_depend_on_the_query_as_those_of_a_gradient_step_do(short_run, prompts, best_step):
    alignment = align(short_run, best_step.solver, prompts[:1000], steps=1)
    assert alignment.cosine.low > 0.998


def test_its_weights_hold_the_published_step_size(short_run):
    (layer,) = effective_steps(short_run)
    assert layer.eta_over_n == pytest.approx(0.61, abs=0.01)
    assert layer.off_structure < 0.06  # what so short a run has not yet unlearnt


@every_regression_recipe
def test_one_update_moves_the_weights_and_leaves_the_loss_finite(name):
    recipe = replace(get_recipe(name), steps=1, warmup=0, batch_size=8)
    trained, start = train(recipe, seed=0), build_model(recipe.model, recipe.task, seed=0)
    prompts = recipe.task.sample(8)
    for model in (start, trained):
        errors = model(model.tokens(prompts))[:, -1] - prompts.ys[:, -1]
        assert torch.isfinite(errors.square().mean())
    # Adam's first step moves every weight that has a gradient by the rate, whatever the gradient's size.
    largest = max(
        (ours - theirs).abs().max().item()
        for ours, theirs in zip(trained.parameters(), start.parameters(), strict=True)
    )
    assert largest == pytest.approx(recipe.lr, rel=0.01)


@every_recipe
def test_a_recipe_comes_back_from_json(name):
    recipe = RECIPES[name]
    assert from_record(type(recipe), to_record(recipe), name) == recipe


@pytest.mark.parametrize("suffix", ["", "-looped"])
@pytest.mark.parametrize("n_layers", DEPTHS)
def test_deep_recipes_have_the_published_settings(n_layers, suffix):
    """Above three layers a lower rate and activations clamped to [-10, 10]; above two a looser clip."""
    recipe = get_recipe(f"lsa-{n_layers}layer{suffix}")
    cfg = transformer_of(recipe)
    assert (cfg.n_layers, cfg.looped) == (n_layers, suffix == "-looped")
    assert (recipe.lr, cfg.clamp) == ((5e-4, 10.0) if n_layers > 3 else (1e-3, None))
    assert recipe.clip_norm == (10.0 if n_layers > 2 else 1e-3)
    assert (recipe.betas, recipe.weight_decay, recipe.schedule) == ((0.9, 0.98), 0.0, "constant")
    assert (cfg.init_variance, cfg.bias, cfg.attention) == (0.002, False, "linear")
    assert recipe.task == OSWALD


def test_the_published_one_layer_recipe_has_small_weights_and_a_constant_rate():
    recipe = get_recipe("lsa-1layer-published")
    cfg = transformer_of(recipe)
    assert (cfg.n_layers, cfg.init_variance, cfg.clamp) == (1, 0.002, None)
    assert (recipe.lr, recipe.betas, recipe.clip_norm, recipe.schedule) == (1e-3, (0.9, 0.98), 1e-3, "constant")
    assert recipe.task == OSWALD


@pytest.mark.parametrize(
    ("name", "n_heads", "layer_norm"),
    [
        ("softmax-1layer", 2, False),
        ("softmax-1layer-1head", 1, False),
        ("softmax-1layer-ln", 2, True),
        ("softmax-1layer-1head-ln", 1, True),
    ],
)
def test_softmax_recipes_have_heads_as_wide_as_the_stream_and_no_final_norm(name, n_heads, layer_norm):
    recipe = get_recipe(name)
    cfg = transformer_of(recipe)
    assert (cfg.attention_kinds, cfg.n_heads, cfg.layer_norm) == (("softmax",), n_heads, layer_norm)
    assert cfg.d_head == cfg.d_model == 11
    assert RegressionTransformer(cfg, recipe.task).reads_one_coordinate


def test_sine_waves_are_read_in_by_an_mlp_before_free_or_fixed_attention():
    free, fixed = get_recipe("sine-mlp"), get_recipe("sine-mlp-gd")
    assert free.task == fixed.task == SineWaves(n_points=11)
    assert (transformer_of(free).read_in, transformer_of(free).descent_lr, free.frozen) == ("mlp", None, ())
    assert replace(transformer_of(fixed), descent_lr=None) == free.model
    assert transformer_of(fixed).descent_lr is not None
    assert set(fixed.frozen) == {"W_Q", "W_K", "W_V", "W_O"}


def test_the_recipe_of_copying_has_the_published_settings_and_a_slot_for_y():
    recipe = get_recipe("copy-2layer")
    cfg = transformer_of(recipe)
    assert (cfg.layout.kind, cfg.layout.y_position, cfg.layout.y_slot) == ("interleaved", "last", "own")
    assert (cfg.attention_kinds, cfg.n_heads, cfg.d_head) == (("softmax", "linear"), 1, 20)
    assert (cfg.causal, cfg.query_in_context, cfg.mlp, cfg.layer_norm) == (False, False, "none", False)
    assert (cfg.positions, cfg.position_mode, cfg.d_pos) == ("sinusoidal", "concatenate", 10)
    assert (cfg.init_variance, cfg.readout, cfg.clamp) == (0.02, "negated_y", None)
    assert (recipe.steps, recipe.batch_size, recipe.lr, recipe.betas) == (10_000, 2048, 1e-3, (0.9, 0.98))
    assert (recipe.clip_norm, recipe.weight_decay, recipe.schedule) == (10.0, 0.0, "constant")
    assert recipe.task == OSWALD


def test_untrained_it_predicts_next_to_nothing_so_that_its_loss_starts_at_that_of_0():
    recipe = get_recipe("copy-2layer")
    model, prompts = build_model(recipe.model, recipe.task), recipe.task.sample(2000)
    loss, zero = (
        0.5 * (answer - prompts.ys[:, -1]).square().mean() for answer in (model(model.tokens(prompts))[:, 0], 0)
    )
    assert loss.item() == pytest.approx(zero.item(), rel=1e-3)


GARG_TINY = {
    "garg-tiny": (64, LinearRegression(dim=5, n_points=16, inputs="gaussian")),
    "garg-tiny-noisy": (64, LinearRegression(dim=5, n_points=16, inputs="gaussian", noise_std=0.5)),
    "garg-tiny-skewed": (
        64,
        LinearRegression(dim=5, n_points=16, inputs="gaussian", covariance=ConditionNumber(value=100.0)),
    ),
    **{
        f"garg-tiny-width{width}": (width, LinearRegression(dim=5, n_points=16, inputs="gaussian"))
        for width in HIDDEN_SIZES["tiny"][:-1]
    },
}


@pytest.mark.parametrize("name", GARG_TINY)
def test_tiny_recipes_of_garg_are_gpt_2_in_the_small(name):
    """Eight pre-norm layers of causal softmax attention on x, y, x, y, ..., learned positions, weights of 0.02."""
    recipe = get_recipe(name)
    cfg = transformer_of(recipe)
    assert (cfg.width, recipe.task) == GARG_TINY[name]
    assert (cfg.n_layers, cfg.n_heads, cfg.attention, cfg.causal, cfg.query_in_context) == (8, 4, "softmax", True, True)
    assert (cfg.layout.kind, cfg.layout.y_slot, cfg.layout.y_position) == ("interleaved", "shared", "first")
    assert (cfg.layer_norm, cfg.final_norm, cfg.mlp, cfg.d_mlp) == (True, True, "gelu_new", 4 * cfg.width)
    assert (cfg.positions, cfg.position_mode, cfg.n_ctx) == ("learned", "add", 2 * 16)
    assert (cfg.read_in, cfg.readout, cfg.bias, cfg.init) == ("linear", "linear", True, "gpt2")
    assert (recipe.steps, recipe.batch_size, recipe.lr, recipe.warmup) == (30_000, 64, 1e-3, 1000)
    assert (recipe.clip_norm, recipe.schedule) == (1.0, "cosine")


@pytest.mark.parametrize(("size", "dim"), [("tiny", 5), ("standard", 20)])
def test_the_hidden_size_series_goes_from_below_the_dim_to_the_recipe_it_varies(size, dim):
    widths = [*(f"garg-{size}-width{width}" for width in HIDDEN_SIZES[size][:-1]), f"garg-{size}"]
    assert [transformer_of(get_recipe(name)).width for name in widths] == list(HIDDEN_SIZES[size])
    assert HIDDEN_SIZES[size][0] < get_recipe(f"garg-{size}").task.dim == dim < HIDDEN_SIZES[size][-1]
    assert {name for name in RECIPES if name.startswith("garg-tiny")} == {*GARG_TINY, "garg-tiny-lstm"}


@pytest.mark.parametrize("variation", ["", "-noisy", "-skewed", "-width8", "-width16", "-width32", "-width64", "-lstm"])
def test_the_standard_recipe_of_garg_has_the_variations_of_fu_et_al(variation):
    """Dim 20, 41 points; noise of a twentieth of the targets' variance, which is dim; trained as the standard one."""
    standard, recipe = get_recipe("garg-standard"), get_recipe(f"garg-standard{variation}")
    changed: dict[str, dict[str, Any]] = {
        "-noisy": {"noise_std": 1.0},
        "-skewed": {"covariance": ConditionNumber(value=100.0)},
    }
    assert recipe.task == replace(standard.task, **changed.get(variation, {}))
    assert replace(recipe, name=standard.name, model=standard.model, task=standard.task) == standard
    if variation == "-lstm":
        assert isinstance(recipe.model, LSTMConfig) and (recipe.model.n_layers, recipe.model.width) == (10, 256)


def test_the_lstm_is_trained_on_the_prompts_of_the_transformer_that_it_is_a_control_of():
    lstm, tiny = get_recipe("garg-tiny-lstm"), get_recipe("garg-tiny")
    assert isinstance(lstm.model, LSTMConfig)
    assert (lstm.model.n_layers, lstm.model.width, lstm.model.layout) == (4, 64, transformer_of(tiny).layout)
    assert replace(lstm, name=tiny.name, model=tiny.model, lr=tiny.lr) == tiny


def test_a_tiny_recipe_of_garg_predicts_every_point_of_a_prompt():
    recipe = get_recipe("garg-tiny-width8")
    model = build_model(recipe.model, recipe.task)
    assert model.predicted_points == tuple(range(16))
    assert torch.isfinite(model(model.tokens(recipe.task.sample(2)))).all()
