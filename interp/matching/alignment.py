"""Alignment of a model with a solver, in the sense of von Oswald et al. (2022), section 3."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.induced import sensitivities
from interp.matching.readouts import layer_states, native_predictions, problems_of
from interp.models.protocol import HookedRegressor
from interp.solvers import AbstractSolver
from interp.tasks import Prompts
from probes import Interval, bootstrap_mean


@dataclass(frozen=True)
class Alignment:
    """How close a model's answers, and their dependence on the query, are to a solver's. Intervals are over prompts."""

    prediction_difference: Interval
    """Mean absolute difference of the predictions, in units of y."""
    cosine: Interval
    """Mean cosine between the sensitivities ``d prediction / d x_query`` of model and solver."""
    l2: Interval
    """Mean Euclidean distance of the sensitivities."""


def align(
    model: HookedRegressor, solver: AbstractSolver, prompts: Prompts, steps: int, *, layer: int = -1
) -> Alignment:
    """Compare one layer (by default the last), read by the model's own readout, with ``steps`` steps of a solver.

    The means run over prompts and their columns; columns whose prefix is empty are left out. Raises ValueError for a
    model without ``decode``.
    """
    return align_all(model, {"": solver}, prompts, steps, layer=layer)[""]


def align_all(
    model: HookedRegressor, solvers: Mapping[str, AbstractSolver], prompts: Prompts, steps: int, *, layer: int = -1
) -> dict[str, Alignment]:
    """`align` with several solvers, for which the model is asked and differentiated once."""
    measured = measure_prompts(model, solvers, prompts, steps, layer=layer)
    return {name: Alignment(*(bootstrap_mean(values.numpy()) for values in parts)) for name, parts in measured.items()}


def measure_prompts(
    model: HookedRegressor, solvers: Mapping[str, AbstractSolver], prompts: Prompts, steps: int, *, layer: int = -1
) -> dict[str, Float[Tensor, "measure prompt"]]:
    """What `align_all` averages: for every solver the measures of `Alignment`, in their order, of each prompt."""
    problems = problems_of(model, prompts)
    predictions = native_predictions(model, layer_states(model, prompts))[layer].to(problems.targets)
    ours = sensitivities(model, prompts)[layer].to(problems.targets)  # [prompt column dim]
    n_queries = problems.queries.shape[2]
    informed = torch.tensor(problems.prefixes).repeat_interleave(n_queries) > 0

    def measure(solver: AbstractSolver) -> Float[Tensor, "measure prompt"]:
        trace = solver.trace(problems, [steps])
        theirs = trace.weights[0].repeat_interleave(n_queries, dim=1)
        difference = (predictions - trace.predictions[0]).abs()
        cosine = torch.nn.functional.cosine_similarity(ours, theirs, dim=-1, eps=1e-30)
        distance = (ours - theirs).norm(dim=-1)
        return torch.stack([part[:, informed].mean(1) for part in (difference, cosine, distance)]).cpu()

    return {name: measure(solver) for name, solver in solvers.items()}
