"""A whole report, against the solvers' loops that a part of it would take if they were plain."""

import resource
from dataclasses import dataclass, field

import torch

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.heat_map import Workload as Loops
from interp.bench.options import BenchOptions
from interp.bench.plain_solvers import keeping_the_trajectory, predict_one_by_one
from interp.bench.timing import cpu_threads, side_by_side
from interp.models.build import build_model
from interp.report import build
from interp.solvers import GradientDescent, Newton, Regressions
from interp.training import get_recipe

TOLERANCE = 1e-4
"""Largest difference allowed between the loops' predictions and our solvers', in units of y; both in float64."""
N_THREADS = 2


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Whose report is made, and the loops it is held against. Dim and points of the loops are those of the recipe."""

    recipe: str = "garg-standard"
    """Of the model, which is not trained."""
    loops: Loops = field(default_factory=Loops)
    """Prompts and step counts; the sample of problems that the loops run on is ``loops.trajectory``."""


def compare(options: BenchOptions, workload: Workload | None = None) -> list[Comparison]:
    """Seconds for the report of a model with random weights, with two CPU threads.

    The reference is not a report: it is the iterates of gradient descent and Newton alone, at every prefix of the same
    prompts, by loops that keep their trajectories. A report needs those of five solvers, for the layers, the untrained
    twins and the shuffled targets, beside all else that is in it. Raises ValueError where the loops' predictions differ
    from our solvers' by more than `TOLERANCE`.
    """
    workload = workload or Workload()
    loops, recipe = workload.loops, get_recipe(workload.recipe)
    model = build_model(recipe.model, recipe.task, seed=0).to(options.device)
    prompts = recipe.task.sample(loops.n_prompts, seed=0)
    exact, sample = prompts.to(dtype=torch.float64), loops.trajectory
    predict = keeping_the_trajectory(loops.newton_steps, loops.gd_steps, loops.lr)
    with cpu_threads(N_THREADS):
        problems = Regressions.every_prefix(exact.xs[: sample.n_prompts], exact.ys[: sample.n_prompts])
        newton = Newton(scale="frobenius").predict(problems, loops.newton_steps)
        gd = GradientDescent(lr=loops.lr, normalize="sum").predict(problems, loops.gd_steps)
        ours = torch.cat([newton, gd])[:, :, list(sample.prefixes)]
        plain = predict_one_by_one(predict, exact[: sample.n_prompts], sample.prefixes)
        difference = require_agreement(
            "The iterates of our solvers and of plain loops", float((plain - ours).abs().max()), TOLERANCE
        )
        seconds = side_by_side(
            {
                "ours": lambda: build(model, prompts),
                "plain": lambda: predict_one_by_one(predict, exact[: sample.n_prompts], sample.prefixes),
            },
            options.repeats,
            options.device,
            "report",
        )
    n_problems = loops.n_prompts * (recipe.task.n_points - 1)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in kilobytes
    return [
        Comparison(
            part="report",
            unit="report",
            reference_name="loops of two solvers",
            ours_runs=seconds["ours"],
            reference_runs=tuple(n_problems / sample.n_problems * run for run in seconds["plain"]),
            required_ratio=None,
            largest_difference=difference,
            device=options.device.type,
            n_threads=N_THREADS,
            note=(
                f"the whole report of {model.cfg.n_layers} layers and inputs of dim {recipe.task.dim}, random weights, "
                f"{loops.n_prompts} prompts; the process held {gigabytes:.1f} GB at most; the reference is the "
                f"iterates of gd and newton alone at {loops.n_steps} step counts, prompt by prompt and prefix by "
                f"prefix, measured on {sample.n_problems} of {n_problems} problems and scaled"
            ),
        )
    ]
