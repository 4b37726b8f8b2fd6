"""Dependency maps of all layers by forward mode, against one backward pass for every output coordinate."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.attribution import token_dependencies
from interp.bench.comparison import Comparison, require_agreement
from interp.bench.options import BenchOptions
from interp.bench.timing import cpu_threads, side_by_side
from interp.matching.readouts import hook_names
from interp.models.build import build_model
from interp.models.regressor import RegressionModel
from interp.tasks import Prompts
from interp.training import get_recipe

REQUIRED_RATIO = 10.0
TOLERANCE = 1e-4
"""Largest difference allowed between two maps, as a share of the largest entry of the layer's map."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Whose maps are drawn, and the output positions that the backward passes are measured at."""

    recipe: str = "garg-small"
    """Of the model, which is not trained."""
    n_prompts: int = 2
    sample: tuple[int, ...] = (20,)
    """Positions. A backward pass costs the same from each of them; all layers and coordinates are measured."""


def compare(options: BenchOptions, workload: Workload | None = None) -> list[Comparison]:
    """Seconds for the maps of all layers, on one CPU thread, in float32.

    The plain way is measured on complete rows of the maps: all layers, all coordinates of the stream, at the positions
    of ``workload.sample``. Raises ValueError where they differ from our rows by more than `TOLERANCE`.
    """
    workload = workload or Workload()
    recipe = get_recipe(workload.recipe)
    model = build_model(recipe.model, recipe.task, seed=0).to(options.device)
    prompts = model.task.sample(workload.n_prompts, seed=0)
    n_pos = model.tokens(prompts).shape[1]
    with cpu_threads(1):
        maps = token_dependencies(model, prompts)
        rows = maps_by_backward_passes(model, prompts, workload.sample)
        scale = maps.amax(dim=(1, 2, 3), keepdim=True)
        difference = float(((rows - maps[:, :, list(workload.sample)]).abs() / scale).max())
        require_agreement("Our dependency maps and those of backward passes", difference, TOLERANCE)
        seconds = side_by_side(
            {
                "ours": lambda: token_dependencies(model, prompts),
                "plain": lambda: maps_by_backward_passes(model, prompts, workload.sample),
            },
            options.repeats,
            options.device,
            "dependency",
        )
    n_passes = len(maps) * model.cfg.d_model
    return [
        Comparison(
            part="dependency",
            unit="maps of all layers",
            reference_name="backward passes",
            ours_runs=seconds["ours"],
            reference_runs=tuple(n_pos / len(workload.sample) * run for run in seconds["plain"]),
            required_ratio=REQUIRED_RATIO,
            largest_difference=difference,
            device=options.device.type,
            n_threads=1,
            note=(
                f"{len(maps)} layers of an untrained {workload.recipe}, {n_pos} tokens of {model.cfg.d_token} numbers, "
                f"stream of {model.cfg.d_model}, {workload.n_prompts} prompts at once in either way; the backward "
                f"passes, {n_passes * n_pos} in all, were measured on {n_passes * len(workload.sample)} and scaled; "
                "the difference is a share of the layer's largest entry"
            ),
        )
    ]


def maps_by_backward_passes(
    model: RegressionModel, prompts: Prompts, positions: tuple[int, ...]
) -> Float[Tensor, "layer prompt output pos"]:
    """Rows of the maps as one would write them down: a backward pass from each coordinate of each layer's stream.

    Prompts do not see each other, so that one pass from the sum over prompts serves them all.
    """
    tokens = model.tokens(prompts).requires_grad_()
    streams: list[Tensor] = []

    def keep(activation: Tensor, hook: HookPoint) -> None:
        streams.append(activation)

    names = hook_names(model)
    model.run_with_hooks(tokens, fwd_hooks=[(name, keep) for name in names])
    rows = torch.zeros(
        len(names), len(prompts), len(positions), tokens.shape[1], dtype=torch.float64, device=tokens.device
    )
    for layer, stream in enumerate(streams):
        for row, position in enumerate(positions):
            for coordinate in stream[:, position].unbind(-1):
                (gradient,) = torch.autograd.grad(coordinate.sum(), tokens, retain_graph=True)
                rows[layer, :, row] += gradient.square().sum(-1)
    return rows.sqrt()
