"""Ablation does what editing the weights would do, for as long as the context lasts and no longer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

import interp
from interp.attribution import ablation, ablation_effects, confirmed_heads, head_ablated
from interp.models import RegressionTransformer
from interp.tasks import Prompts
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

MODELS: dict[str, dict[str, Any]] = {
    "linear": {"attention": "linear"},
    "causal softmax": {"attention": "softmax", "causal": True, "layout": INTERLEAVED},
    "softmax with MLP and norms": FULL,
}
models = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
HEADS = [(layer, head) for layer in range(2) for head in range(2)]


def without_head(model: RegressionTransformer, layer: int, head: int) -> RegressionTransformer:
    """A copy whose head writes nothing."""
    edited = type(model)(model.cfg, model.task).to(next(model.parameters()))
    edited.load_state_dict(model.state_dict())
    edited.blocks[layer].attn.W_O.data[head] = 0
    return edited


def hooks_of(model: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def prompt_losses(model: RegressionTransformer, prompts: Prompts) -> np.ndarray:
    points = list(model.predicted_points)
    return 0.5 * (model(model.tokens(prompts)) - prompts.ys[:, points]).square().mean(1).detach().numpy()


@models
@pytest.mark.parametrize(("layer", "head"), HEADS)
def test_silencing_a_head_equals_zeroing_its_output_weights(options, layer, head):
    model = tiny_model(**options)
    tokens = model.tokens(model.task.sample(5))
    with head_ablated(model, layer, head) as ablated:
        found = ablated(tokens)
    assert_close(found, without_head(model, layer, head)(tokens))
    assert not torch.isclose(found, model(tokens)).any()


@models
@pytest.mark.parametrize(("layer", "head"), HEADS)
def test_mean_ablation_equals_zeroing_the_weights_and_adding_the_mean_output_back(options, layer, head):
    model = tiny_model(**options)
    tokens = model.tokens(model.task.sample(5))
    _, cache = model.run_with_cache(tokens)
    mean = cache["z", layer][:, :, head].mean(0) @ model.blocks[layer].attn.W_O[head]  # [pos d_model]
    expected = without_head(model, layer, head).run_with_hooks(
        tokens, fwd_hooks=[(f"blocks.{layer}.hook_attn_out", lambda out, hook: out + mean)]
    )
    with head_ablated(model, layer, head, "mean"):
        assert_close(model(tokens), expected)


def test_mean_ablation_of_prompts_that_are_all_the_same_changes_nothing():
    model = tiny_model(**FULL)
    tokens = model.tokens(model.task.sample(1)).repeat(4, 1, 1)
    expected = model(tokens)
    with head_ablated(model, 1, 0, "mean"):
        assert_close(model(tokens), expected)


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_other_heads_of_the_layer_are_untouched(mode):
    model = tiny_model(n_heads=3, attention="softmax")
    tokens = model.tokens(model.task.sample(5))
    _, clean = model.run_with_cache(tokens)
    with head_ablated(model, 0, 1, mode):
        _, cache = model.run_with_cache(tokens)
    for head in (0, 2):
        assert torch.equal(cache["z", 0][:, :, head], clean["z", 0][:, :, head])
    assert not torch.isclose(cache["z", 0][:, :, 1], clean["z", 0][:, :, 1]).any()
    assert not torch.isclose(cache["z", 1], clean["z", 1]).any()


def test_two_heads_can_be_ablated_at_once():
    model = tiny_model()
    tokens = model.tokens(model.task.sample(5))
    with head_ablated(model, 0, 1), head_ablated(model, 1, 0):
        found = model(tokens)
    assert_close(found, without_head(without_head(model, 0, 1), 1, 0)(tokens))


def test_after_the_context_the_model_is_what_it_was():
    model = tiny_model()
    tokens = model.tokens(model.task.sample(5))
    before = model(tokens)
    with head_ablated(model, 0, 0):
        assert hooks_of(model) == 1
    assert hooks_of(model) == 0
    assert torch.equal(model(tokens), before)


def test_an_exception_inside_the_context_leaves_no_hook_behind():
    model = tiny_model()
    tokens = model.tokens(model.task.sample(5))
    before = model(tokens)
    with pytest.raises(KeyError, match=r"^'mine'$"), head_ablated(model, 0, 0):
        raise KeyError("mine")
    assert hooks_of(model) == 0
    assert torch.equal(model(tokens), before)


def test_a_hook_of_the_callers_own_stays():
    model = tiny_model()
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: None)
    with head_ablated(model, 0, 0):
        pass
    assert hooks_of(model) == 1


@pytest.mark.parametrize(("layer", "head"), [(2, 0), (-1, 0), (0, 2), (0, -1)])
def test_a_head_that_the_model_lacks_is_refused(layer, head):
    model = tiny_model()
    message = (
        f"There is no head {head} in block {layer}: the model has 2 block(s), counted from 0, with 2 head(s) each."
    )
    with raises_exactly(ValueError, message), head_ablated(model, layer, head):
        pass


def with_useless_heads() -> RegressionTransformer:
    """Two GD steps of one head each, and beside each a second head: the first writes nothing, the second into x.

    After the last layer nobody reads x.
    """
    gd = interp.load("gd:steps=2,dim=3").double()
    cfg = replace(gd.cfg, n_heads=2, head_width=gd.cfg.d_head)
    model = RegressionTransformer(cfg, gd.task).double()
    with torch.no_grad():
        for ours, theirs in zip(model.blocks, gd.blocks, strict=True):
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                getattr(ours.attn, name)[0] = getattr(theirs.attn, name)[0]
            for name in ("W_Q", "W_K", "W_V"):
                getattr(ours.attn, name)[1] = torch.eye(4)
            ours.attn.W_O[1] = 0
        model.blocks[1].attn.W_O[1] = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    return model


@pytest.fixture(scope="module")
def two_steps():
    model = with_useless_heads()
    return ablation_effects(model, model.task.sample(64, seed=2, n_queries=4))


def test_the_heads_that_make_the_steps_are_confirmed_and_no_others(two_steps):
    assert confirmed_heads(two_steps) == [(1, 0), (2, 0)]


@pytest.mark.parametrize("layer", [1, 2])
def test_silencing_a_head_that_nobody_reads_costs_nothing(two_steps, layer):
    of_the_head = two_steps[(two_steps["layer"] == layer) & (two_steps["head"] == 1)]
    ablated = of_the_head[of_the_head["intervention"] != "random"]
    assert (ablated[["increase", "ci_low", "ci_high"]] == 0).all(axis=None)


def test_random_vectors_cost_something_where_the_heads_own_do_not(two_steps):
    random = two_steps[(two_steps["intervention"] == "random") & (two_steps["head"] == 1)]
    writes_nothing, writes_where_nobody_reads = random["ci_low"]
    assert writes_nothing == 0
    assert writes_where_nobody_reads > 0


def test_the_head_of_a_gd_step_is_confirmed():
    model = interp.load("gd:steps=1,dim=5")
    assert confirmed_heads(ablation_effects(model, model.task.sample(64), n_draws=10)) == [(1, 0)]


@models
def test_the_rise_is_that_of_half_the_mean_squared_error(options):
    model = tiny_model(**options)
    prompts = model.task.sample(8)
    effects = ablation_effects(model, prompts, n_draws=2).set_index(["layer", "head", "intervention"]).to_dict("index")
    before = prompt_losses(model, prompts)
    for layer, head in HEADS:
        row = effects[layer + 1, head, "zero"]
        after = prompt_losses(without_head(model, layer, head), prompts)
        assert row["increase"] == pytest.approx((after - before).mean(), rel=1e-6)  # ys are rounded to single precision
        assert row["loss"] == pytest.approx(after.mean(), rel=1e-6)
        assert row["ci_low"] < row["increase"] < row["ci_high"]


def test_several_queries_are_averaged_over():
    model = interp.load("gd:steps=1,dim=3").double()
    prompts = model.task.sample(8, n_queries=5)
    effects = ablation_effects(model, prompts, n_draws=2).set_index("intervention")
    # Silenced, the one head leaves 0 in the query's y entry.
    zero_loss = 0.5 * prompts.ys[:, prompts.n_examples :].double().square().mean().item()
    assert effects.loc["zero", "loss"] == pytest.approx(zero_loss, rel=1e-9)


def test_the_control_takes_away_a_vector_of_the_heads_own_norm_at_every_position():
    model = tiny_model(n_heads=3, attention="softmax")
    tokens = model.tokens(model.task.sample(5))
    _, clean = model.run_with_cache(tokens)
    of_the_head = clean["z", 1][:, :, 2] @ model.blocks[1].attn.W_O[2]
    with ablation._perturbed(model, 1, 2, torch.Generator().manual_seed(0)):
        _, cache = model.run_with_cache(tokens)
    taken = clean["attn_out", 1] - cache["attn_out", 1]
    assert_close(taken.norm(dim=-1), of_the_head.norm(dim=-1))
    cosines = torch.cosine_similarity(taken, of_the_head, dim=-1)
    # 30 independent directions in 5 dimensions: their mean cosine has deviation 1 / sqrt(5 * 30) = 0.08.
    assert cosines.mean().abs() < 0.33
    assert cosines.std() > 0.2
    assert torch.equal(cache["z", 1], clean["z", 1])


def test_the_controls_are_a_function_of_the_seed():
    model = tiny_model(n_layers=1)
    prompts = model.task.sample(8)
    first, again, other = (ablation_effects(model, prompts, n_draws=3, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    random = first["intervention"] == "random"
    assert not np.isclose(first["increase"], other["increase"])[random].any()
    pd.testing.assert_frame_equal(first[~random], other[~random])


def test_measuring_effects_leaves_the_model_as_it_was():
    model = tiny_model()
    prompts = model.task.sample(8)
    before = model(model.tokens(prompts))
    ablation_effects(model, prompts, n_draws=2)
    assert hooks_of(model) == 0
    assert torch.equal(model(model.tokens(prompts)), before)


def effects_of(zero: tuple[float, float], random: tuple[float, float]) -> pd.DataFrame:
    """A table of one head, from the intervals of its zero ablation and its random perturbations."""
    rows = [("zero", *zero), ("mean", -9.0, 9.0), ("random", *random)]
    table = pd.DataFrame(rows, columns=["intervention", "ci_low", "ci_high"])
    return table.assign(layer=1, head=0)


@pytest.mark.parametrize(
    ("zero", "random", "confirmed"),
    [
        ((0.5, 0.7), (0.1, 0.4), True),
        ((0.3, 0.7), (0.1, 0.4), False),  # overlap
        ((0.4, 0.7), (0.1, 0.4), False),  # touching
        ((-0.7, -0.5), (0.1, 0.4), False),  # helps when silenced
    ],
)
def test_a_head_is_confirmed_when_its_interval_is_above_the_random_ones(zero, random, confirmed):
    assert confirmed_heads(effects_of(zero, random)) == ([(1, 0)] if confirmed else [])
