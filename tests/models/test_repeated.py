import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import interp
from interp.models import RegressionTransformer
from interp.models.folders import weights_checksum
from interp.models.repeated import repeated
from interp.solvers import Regressions, make_solver
from interp.tasks import TokenLayout
from tests.errors import raises_exactly
from tests.models.tiny import FULL, tiny_model


def layer_predictions(model: RegressionTransformer, tokens: torch.Tensor) -> torch.Tensor:
    """The prediction after each layer, the embedding first, [layer prompt]."""
    _, cache = model.run_with_cache(tokens)
    states = [cache["resid_pre", 0], *(cache["resid_post", layer] for layer in range(model.cfg.n_layers))]
    return torch.stack([model.decode(state[:, -1]) for state in states])


@given(times=st.integers(1, 8), dim=st.integers(1, 6))
def test_one_step_of_gradient_descent_repeated_is_as_many_steps(times, dim):
    longer = repeated(interp.load(f"gd:dim={dim}"), times)
    steps = interp.load(f"gd:dim={dim},steps={times}")
    tokens = steps.tokens(steps.task.sample(5))
    assert torch.equal(layer_predictions(longer, tokens), layer_predictions(steps, tokens))


@given(times=st.integers(1, 8), damping=st.floats(0.05, 1.0), lr=st.floats(0.1, 8.0))
def test_damping_gradient_descent_is_shortening_its_steps(times, damping, lr):
    model = interp.load(f"gd:dim=4,lr={lr}").double()
    longer = repeated(model, times, damping=damping)
    prompts = model.task.sample(5)
    # The construction rounds eta/n to single precision; the solver steps with the same number.
    eta = -model.OV.AB[0, 0, -1, -1].item() * prompts.n_examples
    iterates = make_solver("gd", lr=eta * damping).predict(Regressions.of(prompts), range(times + 1))
    assert_close(layer_predictions(longer, longer.tokens(prompts)), iterates[:, :, -1])


@pytest.mark.parametrize(
    "options",
    [
        {"clamp": 0.3},
        {**FULL, "layer_norm": True},
        {"read_in": "mlp", "width": 6, "layout": TokenLayout(y_position="first")},
        {"attention": ("relu",)},
    ],
    ids=["clamped", "full", "features", "a kind for each layer"],
)
def test_a_repeated_layer_is_the_layer_applied_to_its_own_output(options):
    model = tiny_model(n_layers=1, **options)
    longer = repeated(model, 3)
    tokens = model.tokens(model.task.sample(4))
    (block,) = model.blocks
    _, cache = model.run_with_cache(tokens)
    resid = cache["resid_pre", 0]
    _, of_longer = longer.run_with_cache(tokens)
    for layer in range(3):
        resid = block(resid, 1)
        assert_close(of_longer["resid_post", layer], resid)
    assert_close(longer(tokens)[:, 0], model.decode(resid[:, -1]))


def test_a_looped_model_can_be_applied_less_and_more_often():
    looped = tiny_model(n_layers=3, looped=True, mlp="relu")
    tokens = looped.tokens(looped.task.sample(4))
    assert torch.equal(repeated(looped, 3)(tokens), looped(tokens))
    after = layer_predictions(looped, tokens)
    assert torch.equal(repeated(looped, 2)(tokens)[:, 0], after[2])
    assert torch.equal(layer_predictions(repeated(looped, 6), tokens)[:4], after)


def test_dampings_multiply():
    """What a damped model adds is its damped update."""
    looped = tiny_model(n_layers=2, looped=True, damping=0.5)
    tokens = looped.tokens(looped.task.sample(4))
    assert torch.equal(repeated(looped, 2)(tokens), looped(tokens))
    whole = tiny_model(n_layers=2, looped=True)
    assert_close(repeated(looped, 4, damping=0.5)(tokens), repeated(whole, 4, damping=0.25)(tokens))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_has_the_models_precision_and_weights_of_its_own(dtype):
    model = tiny_model(n_layers=1).to(dtype)
    longer = repeated(model, 4)
    assert longer.W_Q.dtype == dtype
    assert weights_checksum(longer) == weights_checksum(model)
    with torch.no_grad():
        longer.blocks[0].attn.W_Q.add_(1)
    assert torch.equal(longer.blocks[3].attn.W_Q, model.blocks[0].attn.W_Q + 1)


def test_different_layers_are_not_repeated():
    with raises_exactly(
        ValueError,
        "The model has 2 different layers, of which none alone was trained to be repeated; "
        "take a model of one layer or a looped one.",
    ):
        repeated(tiny_model(n_layers=2), 3)


@pytest.mark.parametrize(("times", "damping"), [(0, 1.0), (-1, 1.0), (2, 0.0), (2, 1.5), (2, float("nan"))])
def test_times_and_damping_out_of_range_are_refused(times, damping):
    with raises_exactly(
        ValueError, f"`times` must be at least 1 and `damping` lie in (0, 1], got {times} and {damping}."
    ):
        repeated(tiny_model(n_layers=1, damping=0.5), times, damping=damping)
