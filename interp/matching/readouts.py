"""What each layer predicts: the hidden states at the predicted points, and readouts of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.matching.memory import Remembered, current_memory
from interp.models.protocol import HookedRegressor
from interp.solvers import Regressions
from interp.tasks import Prompts


def columns_of(model: HookedRegressor, prompts: Prompts) -> Sequence[int] | None:
    """Points that the model's columns are for these prompts, or None where they are the prompts' queries."""
    return range(prompts.n_points) if len(model.predicted_points) > 1 else None


def problems_of(model: HookedRegressor, prompts: Prompts) -> Regressions:
    """The regression problems that the model is asked, one column each."""
    return Regressions.of(prompts, columns_of(model, prompts))


def ask_many_queries(model: HookedRegressor, prompts: Prompts, n_queries: int, seed: int) -> Prompts:
    """Give a model that predicts the query alone ``n_queries`` of them per context; leave all else as it is.

    Vectors over columns need several columns. Prompts that carry several queries already are kept.
    """
    if len(model.predicted_points) > 1 or prompts.n_queries > 1 or n_queries == 1:
        return prompts
    return model.task.requery(prompts, n_queries, seed)


def layer_states(
    model: HookedRegressor, prompts: Prompts, *, batch_size: int = 2048
) -> Float[Tensor, "layer prompt column d_model"]:
    """The residual stream of layers 0 (the embedding) to n_layers, at the positions predictions are read from."""
    memory = current_memory()
    if memory is None:
        return _layer_states(model, prompts, batch_size)
    states = memory.states(model, prompts)
    if states is None:
        states = _layer_states(model, prompts, batch_size)
        memory.remembered.append(Remembered(model, prompts, states))
    return states


def _layer_states(
    model: HookedRegressor, prompts: Prompts, batch_size: int
) -> Float[Tensor, "layer prompt column d_model"]:
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = _layer_states(model, prompts.one_query_each(), batch_size)
        return rearrange(single, "layer (prompt query) 1 d -> layer prompt query d", query=prompts.n_queries)
    parts = [
        _states_of_batch(model, prompts[start : start + batch_size]) for start in range(0, len(prompts), batch_size)
    ]
    return torch.cat(parts, dim=1)


def hook_names(model: HookedRegressor) -> list[str]:
    """Names of the hooks that hold the residual stream of layers 0 to n_layers."""
    return ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers))]


def read_positions(model: HookedRegressor, prompts: Prompts, n_pos: int) -> list[int]:
    """Positions of the predicted points among ``n_pos`` tokens.

    Models say so in ``prediction_positions``; of others it is inferred from the number of tokens: one per point is
    the paired layout, two per point (the last y shown or not) the interleaved one. Raises ValueError otherwise.
    """
    if hasattr(model, "prediction_positions"):
        positions: list[int] = list(model.prediction_positions(n_pos, prompts.n_queries))
        return positions
    n = prompts.n_points
    stride = {n: 1, 2 * n - 1: 2, 2 * n: 2}.get(n_pos)
    if stride is None:
        raise ValueError(
            f"Cannot tell which of the model's {n_pos} tokens belong to which of {n} points; "
            "give the model a method prediction_positions(n_pos, n_queries)."
        )
    points = columns_of(model, prompts)
    return [stride * point for point in (range(prompts.n_examples, n) if points is None else points)]


def run_options(prompts: Prompts) -> dict[str, Any]:
    """Keyword arguments of a model call for these prompts."""
    return {} if prompts.n_queries == 1 else {"n_queries": prompts.n_queries}


def native_predictions(
    model: HookedRegressor, states: Float[Tensor, "layer prompt column d_model"]
) -> Float[Tensor, "layer prompt column"]:
    """Every layer read with the model's own readout, in float64. Raises ValueError for a model without ``decode``."""
    with torch.no_grad():
        return native_readout(model)(states).double()


def native_readout(model: HookedRegressor) -> Callable[[Tensor], Tensor]:
    """The model's own readout of a residual stream. Raises ValueError for a model without ``decode``."""
    decode: Callable[[Tensor], Tensor] | None = getattr(model, "decode", None)
    if decode is None:
        raise ValueError(
            f"{type(model).__name__} has no method decode(resid), which the native readout needs; "
            "add one, or use readout='refitted'."
        )
    return decode


@torch.no_grad()
def model_answers(
    model: HookedRegressor, prompts: Prompts, *, batch_size: int = 2048
) -> Float[Tensor, "prompt column"]:
    """What the model itself answers, in float64: its predictions at every column of the prompts."""
    if current_memory() is not None and hasattr(model, "decode"):
        return native_readout(model)(layer_states(model, prompts, batch_size=batch_size)[-1]).double()
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = model_answers(model, prompts.one_query_each(), batch_size=batch_size)
        return single.reshape(len(prompts), prompts.n_queries)
    batches = (prompts[start : start + batch_size] for start in range(0, len(prompts), batch_size))
    return torch.cat([model(model.tokens(batch), **run_options(batch)) for batch in batches]).double()


def prompt_losses(model: HookedRegressor, prompts: Prompts) -> Float[np.ndarray, " prompt"]:
    """Half the squared error of the model's answers, averaged over the columns of each prompt, in float64."""
    targets = problems_of(model, prompts).targets
    errors = model_answers(model, prompts).to(targets) - targets
    return np.asarray((0.5 * errors.square().mean(-1)).cpu())


def default_readout(model: HookedRegressor) -> str:
    """``native`` where every layer holds a prediction in the coordinate the model reads, ``refitted`` elsewhere."""
    return "native" if getattr(model, "reads_one_coordinate", False) else "refitted"


@torch.no_grad()
def _states_of_batch(model: HookedRegressor, prompts: Prompts) -> Float[Tensor, "layer prompt column d_model"]:
    tokens = model.tokens(prompts)
    names = hook_names(model)
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, **run_options(prompts))
    positions = read_positions(model, prompts, tokens.shape[1])
    return torch.stack([cache[name][:, positions] for name in names])
