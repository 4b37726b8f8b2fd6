"""States of single points: the stream itself, as a function of one point's token alone."""

from typing import Any

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.testing import assert_close
from transformer_lens.hook_points import HookPoint

from interp.matching import sensitivities
from interp.models import RegressionTransformer
from interp.tasks import Prompts
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

CAUSAL: dict[str, Any] = {"layout": INTERLEAVED, "causal": True, "n_layers": 3}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "softmax": {"attention": "softmax", "query_in_context": True},
    "linear": {"attention": "linear", "query_in_context": True},
    "relu": {"attention": "relu", "query_in_context": True},
    "softmax, query out of context": {"attention": "softmax"},
    "linear, query out of context": {"attention": "linear"},
    "relu, query out of context": {"attention": "relu"},
    "everything": {**FULL, "query_in_context": True},
    "every kind": {**FULL, "attention": ("softmax", "linear", "relu")},
    "looped": {**FULL, "looped": True, "query_in_context": True},
    "clamped": {"attention": "linear", "clamp": 0.4, "mlp": "relu", "query_in_context": True},
    "damped": {"attention": "relu", "damping": 0.6, "looped": True, "mlp": "gelu"},
    "concatenated positions": {
        "attention": "softmax",
        "positions": "sinusoidal",
        "position_mode": "concatenate",
        "d_pos": 4,
        "query_in_context": True,
    },
    "added positions": {**FULL, "positions": "sinusoidal", "n_ctx": 0, "query_in_context": True},
}
every_architecture = pytest.mark.parametrize("options", ARCHITECTURES.values(), ids=ARCHITECTURES)


def causal_model(options: dict[str, Any]) -> RegressionTransformer:
    return tiny_model(**{**options, **CAUSAL}, n_points=5)


def stream(model: RegressionTransformer, tokens: torch.Tensor) -> list[torch.Tensor]:
    """The stream of every layer at the predicted positions, still part of the graph."""
    kept: list[torch.Tensor] = []
    names = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers))]
    model.run_with_hooks(tokens, fwd_hooks=[(name, lambda activation, hook: kept.append(activation)) for name in names])
    return [state[:, model.prediction_positions(tokens.shape[1])] for state in kept]


@every_architecture
def test_they_are_the_stream_at_the_predicted_positions(options):
    model = causal_model(options)
    tokens = model.tokens(model.task.sample(3, seed=1))
    states = model.states_alone(tokens)
    assert len(states) == 1 + model.cfg.n_layers
    for found, expected in zip(states, stream(model, tokens), strict=True):
        assert_close(found, expected, rtol=1e-12, atol=1e-12)


@every_architecture
def test_one_gradient_of_their_sum_holds_every_points_own_derivative(options):
    model = causal_model(options)
    tokens = model.tokens(model.task.sample(2, seed=1)).requires_grad_()
    direction = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positions = model.prediction_positions(tokens.shape[1])
    for layer, state in enumerate(model.states_alone(tokens)):
        (at_once,) = torch.autograd.grad((state @ direction).sum(), tokens, retain_graph=True)

        def readings(t: torch.Tensor, layer: int = layer) -> torch.Tensor:
            return stream(model, t)[layer] @ direction

        derivative = jacobian(readings, tokens)  # [prompt point prompt pos d_token]
        for prompt in range(2):
            for point, position in enumerate(positions):
                assert_close(at_once[prompt, position], derivative[prompt, point, prompt, position])


@every_architecture
def test_a_state_depends_on_no_token_but_its_own(options):
    model = causal_model(options)
    tokens = model.tokens(model.task.sample(2, seed=1)).requires_grad_()
    positions = model.prediction_positions(tokens.shape[1])
    last = model.states_alone(tokens)[-1]
    for point, position in enumerate(positions):
        (gradient,) = torch.autograd.grad(last[:, point].square().sum(), tokens, retain_graph=True)
        assert gradient[:, position].abs().amin(1).max() > 0
        gradient[:, position] = 0
        assert not gradient.any()


@every_architecture
def test_the_sensitivities_of_all_points_taken_at_once_are_their_jacobians(options):
    model = causal_model(options)
    prompts = model.task.sample(2, seed=3).to(dtype=torch.float64)

    def answers(xs: torch.Tensor) -> torch.Tensor:
        return model(model.tokens(Prompts(xs=xs, ys=prompts.ys)))

    derivative = jacobian(answers, prompts.xs)  # [prompt point prompt point dim]
    found = sensitivities(model, prompts)[-1]
    for prompt in range(2):
        for point in range(5):
            assert_close(found[prompt, point], derivative[prompt, point, prompt, point])


def test_hooks_on_the_stream_and_on_attention_are_called_in_the_pass_without_gradients_alone():
    model = causal_model(ARCHITECTURES["everything"])
    seen: dict[bool, set[str]] = {True: set(), False: set()}

    def note(activation: torch.Tensor, hook: HookPoint) -> None:
        seen[torch.is_grad_enabled()].add(str(hook.name))

    with model.hooks(fwd_hooks=[(lambda name: True, note)]):
        states = model.states_alone(model.tokens(model.task.sample(2)))
    assert all(state.requires_grad for state in states)
    assert seen[False] == set(model.hook_dict)
    parts = {name.split(".")[2] for name in seen[True]}
    assert parts == {"ln1", "ln2", "mlp"}


@pytest.mark.parametrize("options", [{}, {"layout": INTERLEAVED}], ids=["paired", "not causal"])
def test_a_model_that_predicts_the_query_alone_has_none(options):
    model = tiny_model(**options)
    with raises_exactly(ValueError, "States of every point alone are defined for causal models of interleaved tokens."):
        model.states_alone(model.tokens(model.task.sample(2)))
