"""The weight vector that a layer's answers imply."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.matching.readouts import columns_of, hook_names, layer_states, native_readout, read_positions, run_options
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

Decoder = Callable[[int, Float[Tensor, "... d_model"]], Float[Tensor, " ..."]]
"""Reads the residual stream of a layer as a prediction."""


def native_decoder(model: HookedRegressor) -> Decoder:
    """The model's own readout at every layer. Raises ValueError for a model without ``decode``."""
    decode = native_readout(model)
    return lambda _, resid: decode(resid)


def sensitivities(
    model: HookedRegressor, prompts: Prompts, decoder: Decoder | None = None
) -> Float[Tensor, "layer prompt column dim"]:
    """``d prediction / d x_query`` of layers 0..n_layers, in float64: for a predictor linear in the query, its weights.

    ``decoder`` reads a layer, by default with the model's own readout. Differentiates through ``model.tokens``. Raises
    ValueError for a model without ``decode`` where no decoder is given.
    """
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = sensitivities(model, prompts.one_query_each(), decoder)
        return rearrange(single, "layer (prompt query) 1 dim -> layer prompt query dim", query=prompts.n_queries)
    decoder = decoder or native_decoder(model)
    points = list(columns_of(model, prompts) or range(prompts.n_examples, prompts.n_points))
    xs = prompts.xs.detach().clone().requires_grad_()
    asked = Prompts(xs=xs, ys=prompts.ys, w=prompts.w, n_queries=prompts.n_queries)
    states = _states_with_grad(model, asked)
    gradients = []
    for layer, state in enumerate(states):
        predictions = decoder(layer, state)  # [prompt column]
        if prompts.n_queries > 1 or len(points) == 1:
            # Queries do not see each other, so one backward pass serves all of them.
            (gradient,) = torch.autograd.grad(predictions.sum(), xs, retain_graph=True, materialize_grads=True)
            gradients.append(gradient[:, points])
            continue
        columns = []
        for column, point in enumerate(points):
            total = predictions[:, column].sum()
            (gradient,) = torch.autograd.grad(total, xs, retain_graph=True, materialize_grads=True)
            columns.append(gradient[:, point])
        gradients.append(torch.stack(columns, dim=1))
    return torch.stack(gradients).double()


@dataclass(frozen=True)
class InducedWeights:
    """Weights fitted to a layer's answers, and how far those are linear in the query at all."""

    weights: Float[Tensor, "layer prompt dim"]
    r2: Float[Tensor, " layer"]
    """Share of the answers' variance that the weights explain, over all prompts (1 for a linear predictor)."""


@torch.no_grad()
def fitted_weights(
    model: HookedRegressor,
    prompts: Prompts,
    *,
    n_queries: int = 0,
    seed: int = 0,
    decoder: Decoder | None = None,
) -> InducedWeights:
    """Least squares, without intercept, on the answers to ``n_queries`` random queries after each context.

    The context is all examples of a prompt; ``n_queries`` is 4 dim unless given. Layers 0 to n_layers, in float64.
    Raises ValueError for fewer queries than dim, which determine no weights, and for prompts without hidden weights.
    """
    count = n_queries or 4 * prompts.dim
    if count < prompts.dim:
        raise ValueError(f"{count} queries do not determine {prompts.dim} weights; ask at least {prompts.dim}.")
    decoder = decoder or native_decoder(model)
    asked = model.task.requery(prompts, count, seed)
    if getattr(model, "asks_in_parallel", False):
        states = layer_states(model, asked)
    else:
        single = layer_states(model, asked.one_query_each())[:, :, -1]
        states = rearrange(single, "layer (prompt query) d -> layer prompt query d", query=count)
    answers = torch.stack([decoder(layer, state) for layer, state in enumerate(states)]).double()
    queries = asked.xs[:, asked.n_examples :].double().to(answers.device)
    solution = torch.linalg.lstsq(queries.expand(len(answers), -1, -1, -1), answers[..., None]).solution
    residual = answers - (queries @ solution)[..., 0]
    total = answers.square().sum((1, 2))
    unexplained = residual.square().sum((1, 2)) / total.where(total > 0, 1.0)
    return InducedWeights(weights=solution[..., 0], r2=torch.where(total > 0, 1 - unexplained, torch.nan))


def _states_with_grad(model: HookedRegressor, prompts: Prompts) -> list[Float[Tensor, "prompt column d_model"]]:
    """The residual streams at the predicted positions, still part of the graph."""
    kept: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: HookPoint) -> None:
        kept[hook.name] = activation

    names = hook_names(model)
    tokens = model.tokens(prompts)
    model.run_with_hooks(tokens, fwd_hooks=[(name, keep) for name in names], **run_options(prompts))
    positions = read_positions(model, prompts, tokens.shape[1])
    return [kept[name][:, positions] for name in names]
