"""What each layer predicts: the hidden states at the predicted points, and readouts of them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.matching.memory import Remembered, current_memory
from interp.models.protocol import HookedRegressor
from interp.solvers import Regressions
from interp.tasks import Prompts, PromptSource, PromptStream

STATE_NUMBERS, ON_GPU = 2**24, 16
"""Activations that a batch may hold, 64 megabytes in single precision, and how many times as many on a GPU."""

Source = TypeVar("Source", Prompts, PromptStream, PromptSource)


def default_batch_size(model: HookedRegressor, prompts: PromptSource) -> int:
    """As many prompts as have `STATE_NUMBERS` activations, one at least.

    It is a function of the model, its device and the length of the prompts, not of their number. Counted are the
    residual streams that are kept, of all layers at the predicted points, and of the layer at work, as in a transformer
    with MLPs of four times its width, twelve vectors for each token and its attention pattern. A context with queries
    that the model cannot be asked at once counts once for each query.
    """
    cfg, at_once = model.cfg, getattr(model, "asks_in_parallel", False)
    runs = 1 if at_once or prompts.n_queries == 1 else prompts.n_queries
    n_points = prompts.n_examples + prompts.n_queries // runs
    n_columns = prompts.n_queries if columns_of(model, prompts) is None else n_points
    n_tokens = 2 * n_points
    kept = (cfg.n_layers + 1) * n_columns * cfg.d_model
    working = runs * n_tokens * (12 * cfg.d_model + cfg.n_heads * n_tokens)
    on_gpu = isinstance(model, torch.nn.Module) and any(own.is_cuda for own in model.parameters())
    return max(1, STATE_NUMBERS * (ON_GPU if on_gpu else 1) // (kept + working))


def batch_size_for(model: HookedRegressor, prompts: PromptSource, batch_size: int | None) -> int:
    """The batch size asked for, or for None the default one. Raises ValueError for one below 1."""
    if batch_size is None:
        return default_batch_size(model, prompts)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1 prompt, got {batch_size}; leave it out for the default.")
    return batch_size


def check_dim(model: HookedRegressor, prompts: PromptSource) -> None:
    """Refuse prompts of another dim than the model's. Raises ValueError."""
    if prompts.dim != model.task.dim:
        raise ValueError(
            f"The prompts have inputs of dim {prompts.dim}, the model was trained on dim {model.task.dim}; "
            "sample them with model.task.sample."
        )


def check_first_point(first_point: int) -> None:
    """Refuse to count points from the end. Raises ValueError."""
    if first_point < 0:
        raise ValueError(f"`first_point` is the number of examples to begin at, from 0 up; got {first_point}.")


def columns_of(model: HookedRegressor, prompts: PromptSource) -> Sequence[int] | None:
    """Points that the model's columns are for these prompts, or None where they are the prompts' queries."""
    return range(prompts.n_points) if len(model.predicted_points) > 1 else None


def problems_of(model: HookedRegressor, prompts: Prompts) -> Regressions:
    """The regression problems that the model is asked, one column each."""
    return Regressions.of(prompts, columns_of(model, prompts))


def ask_many_queries(model: HookedRegressor, prompts: Source, n_queries: int, seed: int) -> Source:
    """Give a model that predicts the query alone ``n_queries`` of them per context; leave all else as it is.

    Vectors over columns need several columns. Prompts that carry several queries already are kept. Raises ValueError
    for fewer than one query.
    """
    if len(model.predicted_points) > 1 or prompts.n_queries > 1 or n_queries == 1:
        return prompts
    if n_queries < 1:
        raise ValueError(f"`n_queries` must be at least 1 query per context, got {n_queries}.")
    if isinstance(prompts, PromptStream):
        return prompts.ask(model.task, n_queries, seed)
    return model.task.requery(prompts, n_queries, seed)


def layer_states(
    model: HookedRegressor, prompts: Prompts, *, batch_size: int | None = None
) -> Float[Tensor, "layer prompt column d_model"]:
    """The residual stream of layers 0 (the embedding) to n_layers, at the positions predictions are read from.

    The model runs on ``batch_size`` prompts at a time, by default as many as `default_batch_size` says.
    """
    memory = current_memory()
    if memory is None:
        return _layer_states(model, prompts, batch_size)
    states = memory.states(model, prompts)
    if states is None:
        states = _layer_states(model, prompts, batch_size)
        memory.remembered.append(Remembered(model, prompts, states))
    return states


def states_of_batch(
    model: HookedRegressor, source: PromptSource, batch: Prompts
) -> Float[Tensor, "layer prompt column d_model"]:
    """The states of one batch of the prompts.

    Where analyses share a memory, those of prompts that are in memory too are computed, and remembered, all at once;
    those of prompts that are drawn as they are needed never are.
    """
    if current_memory() is None or isinstance(source, PromptStream):
        return _layer_states(model, batch, len(batch))
    layer_states(model, source)
    return layer_states(model, batch)


def _layer_states(
    model: HookedRegressor, prompts: Prompts, batch_size: int | None
) -> Float[Tensor, "layer prompt column d_model"]:
    size = batch_size_for(model, prompts, batch_size)
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = _layer_states(model, prompts.one_query_each(), size * prompts.n_queries)
        return rearrange(single, "layer (prompt query) 1 d -> layer prompt query d", query=prompts.n_queries)
    parts = [_states_of_batch(model, batch) for batch in prompts.batches(size)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


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
    model: HookedRegressor, prompts: Prompts, *, batch_size: int | None = None
) -> Float[Tensor, "prompt column"]:
    """What the model itself answers, in float64: its predictions at every column of the prompts."""
    if current_memory() is not None and hasattr(model, "decode"):
        return native_readout(model)(layer_states(model, prompts, batch_size=batch_size)[-1]).double()
    size = batch_size_for(model, prompts, batch_size)
    if prompts.n_queries > 1 and not getattr(model, "asks_in_parallel", False):
        single = model_answers(model, prompts.one_query_each(), batch_size=size * prompts.n_queries)
        return single.reshape(len(prompts), prompts.n_queries)
    return torch.cat([model(model.tokens(batch), **run_options(batch)) for batch in prompts.batches(size)]).double()


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
    positions = read_positions(model, prompts, tokens.shape[1])
    kept: dict[str, Tensor] = {}

    def keep(activation: Tensor, hook: HookPoint) -> None:
        kept[hook.name] = activation[:, positions]  # a copy: the other positions are let go

    names = hook_names(model)
    model.run_with_hooks(tokens, fwd_hooks=[(name, keep) for name in names], **run_options(prompts))
    return torch.stack([kept[name] for name in names])
