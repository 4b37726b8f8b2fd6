"""Attention whose initial weights are a step of gradient descent, on x or on features of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import interp
from interp.models import RegressionTransformer, TransformerConfig
from interp.models.descent import write_descent
from interp.tasks import LinearRegression, Prompts, SineWaves, TokenLayout
from tests.models.tiny import tiny_model

Y_FIRST, Y_LAST = TokenLayout(y_position="first"), TokenLayout(y_position="last")
both_layouts = pytest.mark.parametrize("layout", [Y_FIRST, Y_LAST], ids=["y first", "y last"])


@both_layouts
@pytest.mark.parametrize("options", [{}, {"read_in": "mlp", "width": 7}], ids=["x", "features"])
@given(eta_over_n=st.floats(0.01, 2.0), gamma=st.floats(0.0, 1.0))
def test_keys_and_queries_read_x_and_values_write_minus_eta_into_y_and_minus_gamma_into_x(
    layout, options, eta_over_n, gamma
):
    model = tiny_model(n_layers=1, n_heads=1, head_width=0, layout=layout, **options)
    (block,) = model.blocks
    write_descent(block.attn, model.cfg, eta_over_n, gamma)
    n_x = model.cfg.d_model - 1
    beside_y = [0.0, *[1.0] * n_x] if layout is Y_FIRST else [*[1.0] * n_x, 0.0]
    is_x = torch.tensor(beside_y, dtype=torch.float64)
    assert_close(model.QK.AB[0, 0], torch.diag(is_x))
    assert_close(model.OV.AB[0, 0], torch.diag(-gamma * is_x - eta_over_n * (1 - is_x)))


def network_answers(model: RegressionTransformer, prompts: Prompts, lr: float, steps: int) -> torch.Tensor:
    """What a network answers the queries of each prompt after so many gradient steps on the prompt's examples.

    It is ``f(x) . v``, with the hidden layers f of the model's read-in and an output layer v that begins at -W_start.
    Only v learns, by autograd, on the sum of half the squared errors.
    """
    n = prompts.n_examples
    read_in = model.read_in
    answers = []
    for xs, ys in zip(prompts.xs.double(), prompts.ys.double(), strict=True):
        features = torch.nn.functional.gelu(xs @ read_in.W_in + read_in.b_in) @ read_in.W_out + read_in.b_out
        features = features.detach()
        v = -read_in.W_start[:, 0].detach()
        for _ in range(steps):
            v.requires_grad_()
            loss = 0.5 * (features[:n] @ v - ys[:n]).square().sum()
            (gradient,) = torch.autograd.grad(loss, v)
            v = (v - lr * gradient).detach()
        answers.append(features[n:] @ v)
    return torch.stack(answers)


@both_layouts
@given(
    lr=st.floats(0.001, 0.2),
    n_layers=st.integers(1, 3),
    n_queries=st.integers(1, 3),
    width=st.integers(2, 9),
    seed=st.integers(0, 99),
)
def test_every_layer_is_a_gradient_step_on_the_output_layer_of_the_read_ins_network(
    layout, lr, n_layers, n_queries, width, seed
):
    """Proposition 1 of von Oswald et al. (2022), on features: layer l answers as the network after l steps."""
    model = tiny_model(
        seed=seed, n_layers=n_layers, n_heads=1, head_width=0, read_in="mlp", width=width, descent_lr=lr, layout=layout
    )
    prompts = model.task.sample(4, seed=seed, n_queries=n_queries)
    tokens = model.tokens(prompts)
    predictions, cache = model.run_with_cache(tokens, n_queries=n_queries)
    for layer in range(n_layers):
        decoded = model.decode(cache["resid_pre", layer][:, -n_queries:])
        assert_close(decoded, network_answers(model, prompts, lr, steps=layer))
    assert_close(predictions, network_answers(model, prompts, lr, steps=n_layers))
    assert_close(model(tokens, n_queries=n_queries), predictions)


def test_looped_layers_descend_again_and_again():
    looped = tiny_model(n_layers=3, looped=True, n_heads=1, head_width=0, read_in="mlp", width=6, descent_lr=0.05)
    prompts = looped.task.sample(4)
    assert_close(looped(looped.tokens(prompts)), network_answers(looped, prompts, 0.05, steps=3))


@pytest.mark.parametrize("descent", [True, False])
def test_sine_waves_are_answered_by_the_network_after_its_step(descent):
    cfg = TransformerConfig(dim=1, read_in="mlp", width=40, descent_lr=0.02 if descent else None)
    model = RegressionTransformer(cfg, SineWaves(), seed=4).double()
    prompts = model.task.sample(16)
    expected = network_answers(model, prompts, 0.02, steps=1)
    same = torch.isclose(model(model.tokens(prompts)), expected).all()
    assert bool(same) is descent


def test_on_x_itself_it_is_the_construction():
    construction = interp.load("gd:steps=2,dim=4,points=9,lr=2")
    cfg = TransformerConfig(dim=4, n_layers=2, descent_lr=2 / 8)
    model = RegressionTransformer(cfg, construction.task, seed=3)
    weights = construction.state_dict()
    assert set(model.state_dict()) == set(weights)
    assert all(torch.equal(values, weights[name]) for name, values in model.state_dict().items())


@pytest.mark.parametrize("init", ["fan_in", "gpt2"])
def test_only_attention_starts_as_descent_whatever_the_law_and_the_rest_as_it_would(init):
    def weights(seed: int, descent_lr: float | None) -> dict[str, torch.Tensor]:
        cfg = TransformerConfig(dim=3, read_in="mlp", width=6, mlp="relu", init=init, descent_lr=descent_lr)
        return RegressionTransformer(cfg, LinearRegression(dim=3), seed=seed).state_dict()

    ours, another, free = weights(1, 0.1), weights(2, 0.1), weights(1, None)
    drawn = {name for name in ours if name.rsplit(".", 1)[-1].startswith("W_")}
    attention = {name for name in ours if ".attn.W_" in name}
    assert len(attention) == 4
    for name in attention:
        assert torch.equal(ours[name], another[name])
        assert not torch.equal(ours[name], free[name])
    for name in drawn - attention:
        assert torch.equal(ours[name], free[name])
        assert not torch.equal(ours[name], another[name])
