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
from interp.models.transformer import RegressionTransformer
from interp.tasks import Prompts

GRAPH = 2**27
"""Numbers that the graph of one batch may hold: half a gigabyte in single precision."""

Decoder = Callable[[int, Float[Tensor, "... d_model"]], Float[Tensor, " ..."]]
"""Reads the residual stream of a layer as a prediction."""


def native_decoder(model: HookedRegressor) -> Decoder:
    """The model's own readout at every layer. Raises ValueError for a model without ``decode``."""
    decode = native_readout(model)
    return lambda _, resid: decode(resid)


def sensitivities(
    model: HookedRegressor, prompts: Prompts, decoder: Decoder | None = None, *, batch_size: int = 0
) -> Float[Tensor, "layer prompt column dim"]:
    """``d prediction / d x_query`` of layers 0..n_layers, in float64: for a predictor linear in the query, its weights.

    ``decoder`` reads a layer, by default with the model's own readout. Differentiates through ``model.tokens``, for
    ``batch_size`` prompts at a time (0: as many as fit into about half a gigabyte). Raises ValueError for a model
    without ``decode`` where no decoder is given.
    """
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = sensitivities(model, prompts.one_query_each(), decoder, batch_size=batch_size)
        return rearrange(single, "layer (prompt query) 1 dim -> layer prompt query dim", query=prompts.n_queries)
    decoder = decoder or native_decoder(model)
    batch_size = batch_size or _prompts_at_once(model, prompts)
    batches = (prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size))
    return torch.cat([_sensitivities_of_batch(model, batch, decoder) for batch in batches], dim=1).double()


def _sensitivities_of_batch(
    model: HookedRegressor, prompts: Prompts, decoder: Decoder
) -> Float[Tensor, "layer prompt column dim"]:
    points = list(columns_of(model, prompts) or range(prompts.n_examples, prompts.n_points))
    xs = prompts.xs.detach().clone().requires_grad_()
    asked = Prompts(xs=xs, ys=prompts.ys, w=prompts.w, n_queries=prompts.n_queries)
    alone = len(points) > 1 and prompts.n_queries == 1
    if alone and isinstance(model, RegressionTransformer):
        states = model.states_alone(model.tokens(asked))
    else:
        alone, states = False, _states_with_grad(model, asked)
    # Queries that do not see each other share one backward pass.
    at_once = alone or prompts.n_queries > 1 or len(points) == 1

    def slopes(answer: Tensor) -> Float[Tensor, "prompt point dim"]:
        (gradient,) = torch.autograd.grad(answer, xs, retain_graph=True, materialize_grads=True)
        return gradient

    gradients = []
    for layer, state in enumerate(states):
        predictions = decoder(layer, state)  # [prompt column]
        if at_once:
            gradients.append(slopes(predictions.sum())[:, points])
            continue
        columns = [slopes(predictions[:, column].sum())[:, point] for column, point in enumerate(points)]
        gradients.append(torch.stack(columns, dim=1))
    return torch.stack(gradients)


def _prompts_at_once(model: HookedRegressor, prompts: Prompts) -> int:
    """How many prompts a graph of `GRAPH` numbers holds, at some 20 per layer, token and coordinate of the stream."""
    per_prompt = 20 * model.cfg.n_layers * 2 * prompts.n_points * max(model.cfg.d_model, 2 * prompts.n_points)
    return max(1, GRAPH // per_prompt)


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
