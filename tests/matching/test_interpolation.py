"""Between trained and constructed weights. More on one step size for all layers is in test_circuits."""

import pytest
import torch
from torch.testing import assert_close

import interp
from interp.matching import interpolate_with_gd, loss_along_path
from interp.matching.interpolation import SHARES, constructed_products, scaled_products
from interp.matching.readouts import model_answers, problems_of
from interp.models import RegressionTransformer, TransformerConfig
from interp.solvers import Regressions, make_solver
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model

ETA, GAMMA = [0.3, 0.2, 0.1], [0.05, 0.15, 0.0]


def one_headed(**options) -> RegressionTransformer:
    """Three layers of random weights whose scores have a mean x diagonal near 1, in double precision."""
    model = tiny_model(n_layers=3, n_heads=1, head_width=5, random_biases=False, **options)
    with torch.no_grad():
        for attn in {block.attn for block in model.blocks}:
            attn.W_Q.add_(torch.eye(5))
            attn.W_K.add_(torch.eye(5))
    return model


def loss_of(predictions, prompts) -> float:
    return 0.5 * (predictions - Regressions.of(prompts).targets).square().mean().item()


def test_the_path_begins_at_the_model_and_ends_at_the_algorithm():
    model = one_headed()
    prompts = model.task.sample(32, n_queries=3)
    path = loss_along_path(model, prompts, ETA, gamma=GAMMA).set_index("share")["loss"]
    plus = make_solver("gd++", lr=tuple(ETA), gamma=tuple(GAMMA))
    assert path[0.0] == pytest.approx(loss_of(model_answers(model, prompts), prompts), rel=1e-6)
    assert path[1.0] == pytest.approx(loss_of(plus.predict(Regressions.of(prompts), [3])[0], prompts), rel=1e-6)


@pytest.mark.parametrize("looped", [False, True])
def test_the_path_of_single_precision_ends_at_the_algorithm_too(looped):
    model = one_headed(looped=looped).float()
    prompts = model.task.sample(32, n_queries=3)
    path = loss_along_path(model, prompts, 0.2, gamma=0.1, shares=[1.0])
    expected = make_solver("gd++", lr=0.2, gamma=0.1).predict(Regressions.of(prompts), [3])[0]
    assert path["loss"].tolist() == pytest.approx([loss_of(expected, prompts)], rel=1e-5)


def test_the_path_has_the_shares_asked_for_and_intervals_around_the_losses():
    model = one_headed()
    prompts = model.task.sample(8)
    assert loss_along_path(model, prompts, 0.2)["share"].tolist() == list(SHARES)
    table = loss_along_path(model, prompts, 0.2, shares=[0.0, 0.5])
    assert table["share"].tolist() == [0.0, 0.5]
    assert ((table["ci_low"] <= table["loss"]) & (table["loss"] <= table["ci_high"])).all()


def test_from_a_construction_to_itself_the_path_is_flat():
    model = interp.load("gd++:steps=2,lr=0.125,gamma=0.015625")
    losses = loss_along_path(model, model.task.sample(16), 0.125, gamma=0.015625)["loss"]
    assert losses.max() == pytest.approx(losses.min(), rel=1e-5)


def test_every_layer_may_have_its_own_step_and_gamma():
    model = one_headed()
    prompts = model.task.sample(8)
    mixed = interpolate_with_gd(model, ETA, 1.0, gamma=GAMMA)
    for layers in (1, 2, 3):
        plus = make_solver("gd++", lr=tuple(ETA[:layers]), gamma=tuple(GAMMA[:layers]))
        _, cache = mixed.run_with_cache(mixed.tokens(prompts))
        state = cache[f"blocks.{layers - 1}.hook_resid_post"][:, -1:]
        assert_close(mixed.decode(state), plus.predict(Regressions.of(prompts), [layers])[0])


def test_one_number_for_all_layers_is_that_number_for_each():
    model = one_headed()
    shared, each = constructed_products(model, 0.2, 0.1), constructed_products(model, [0.2] * 3, [0.1] * 3)
    assert all(torch.equal(one, other) for one, other in zip(shared, each, strict=True))


@pytest.mark.parametrize("looped", [False, True])
def test_scaled_products_predict_as_the_weights_do(looped):
    model = one_headed(looped=looped)
    qk, ov = scaled_products(model)
    assert_close(qk[:, :4, :4].diagonal(dim1=-2, dim2=-1).mean(-1), torch.ones(3, dtype=torch.float64))
    plain = RegressionTransformer(TransformerConfig(dim=4, n_layers=3), model.task).double()
    with torch.no_grad():
        for layer, block in enumerate(plain.blocks):
            block.attn.W_Q[0], block.attn.W_V[0] = qk[layer], ov[layer]
            block.attn.W_K[0] = block.attn.W_O[0] = torch.eye(5)
    tokens = model.tokens(model.task.sample(8))
    assert_close(plain(tokens), model(tokens))


def test_scaled_products_do_not_depend_on_the_scale_that_the_factors_share():
    model = one_headed()
    before = scaled_products(model)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_K.mul_(-3)
            block.attn.W_O.div_(-3)
    for one, other in zip(before, scaled_products(model), strict=True):
        assert_close(one, other)


def test_too_few_steps_are_refused():
    message = "`eta_over_n` needs one value for all or one for each of 3 layers, got 2."
    with raises_exactly(ValueError, message):
        interpolate_with_gd(one_headed(), [0.1, 0.2])
    message = "`gamma` needs one value for all or one for each of 3 layers, got 4."
    with raises_exactly(ValueError, message):
        interpolate_with_gd(one_headed(), 0.1, gamma=[0.1] * 4)


def test_looped_layers_take_one_step_size():
    model = one_headed(looped=True)
    message = "Looped layers are one layer: `eta_over_n` needs one value, got [0.3, 0.2, 0.1]."
    with raises_exactly(ValueError, message):
        interpolate_with_gd(model, ETA)
    prompts = model.task.sample(8)
    targets = problems_of(model, prompts).targets
    assert model_answers(interpolate_with_gd(model, [0.2] * 3), prompts).shape == targets.shape
