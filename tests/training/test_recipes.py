"""Every recipe trains; lsa-1layer, shortened, already finds what the published one-layer model found."""

from dataclasses import replace

import pytest
import torch

from interp._records import from_record, to_record
from interp.matching import align, effective_steps
from interp.models import RegressionTransformer
from interp.solvers import tune
from interp.tasks import LinearRegression, SineWaves
from interp.training import RECIPES, Recipe, get_recipe, train
from interp.training.recipes import DEPTHS

OSWALD = LinearRegression(dim=10, n_points=11, inputs="uniform")
every_recipe = pytest.mark.parametrize("name", sorted(RECIPES))


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


@every_recipe
def test_one_update_moves_the_weights_and_leaves_the_loss_finite(name):
    recipe = replace(get_recipe(name), steps=1, batch_size=8)
    trained, start = train(recipe, seed=0), RegressionTransformer(recipe.model, recipe.task, seed=0)
    prompts = recipe.task.sample(8)
    for model in (start, trained):
        errors = model(model.tokens(prompts))[:, 0] - prompts.ys[:, -1]
        assert torch.isfinite(errors.square().mean())
    # Adam's first step moves every weight that has a gradient by the rate, whatever the gradient's size.
    largest = max(
        (ours - theirs).abs().max().item()
        for ours, theirs in zip(trained.parameters(), start.parameters(), strict=True)
    )
    assert largest == pytest.approx(recipe.lr, rel=0.01)


@every_recipe
def test_a_recipe_comes_back_from_json(name):
    assert from_record(Recipe, to_record(RECIPES[name]), name) == RECIPES[name]


@pytest.mark.parametrize("suffix", ["", "-looped"])
@pytest.mark.parametrize("n_layers", DEPTHS)
def test_deep_recipes_have_the_published_settings(n_layers, suffix):
    """Above three layers a lower rate and activations clamped to [-10, 10]; above two a looser clip."""
    recipe = get_recipe(f"lsa-{n_layers}layer{suffix}")
    assert (recipe.model.n_layers, recipe.model.looped) == (n_layers, suffix == "-looped")
    assert (recipe.lr, recipe.model.clamp) == ((5e-4, 10.0) if n_layers > 3 else (1e-3, None))
    assert recipe.clip_norm == (10.0 if n_layers > 2 else 1e-3)
    assert (recipe.betas, recipe.weight_decay, recipe.schedule) == ((0.9, 0.98), 0.0, "constant")
    assert (recipe.model.init_variance, recipe.model.bias, recipe.model.attention) == (0.002, False, "linear")
    assert recipe.task == OSWALD


def test_the_published_one_layer_recipe_has_small_weights_and_a_constant_rate():
    recipe = get_recipe("lsa-1layer-published")
    assert (recipe.model.n_layers, recipe.model.init_variance, recipe.model.clamp) == (1, 0.002, None)
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
    cfg = recipe.model
    assert (cfg.attention_kinds, cfg.n_heads, cfg.layer_norm) == (("softmax",), n_heads, layer_norm)
    assert cfg.d_head == cfg.d_model == 11
    assert RegressionTransformer(cfg, recipe.task).reads_one_coordinate


def test_sine_waves_are_read_in_by_an_mlp_before_free_or_fixed_attention():
    free, fixed = get_recipe("sine-mlp"), get_recipe("sine-mlp-gd")
    assert free.task == fixed.task == SineWaves(n_points=11)
    assert (free.model.read_in, free.model.descent_lr, free.frozen) == ("mlp", None, ())
    assert replace(fixed.model, descent_lr=None) == free.model
    assert fixed.model.descent_lr is not None
    assert set(fixed.frozen) == {"W_Q", "W_K", "W_V", "W_O"}
