"""Every solver against a plain loop over the problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.heat_map import Sample
from interp.bench.options import BenchOptions
from interp.bench.plain_each import Rival, rivals
from interp.bench.plain_solvers import predict_one_by_one
from interp.bench.timing import cpu_threads, side_by_side
from interp.solvers import AbstractSolver, Regressions
from interp.tasks import LinearRegression, Prompts

TOLERANCE = 1e-4
"""Largest difference allowed between the two ways, for predictions in units of y; both compute in float64."""
SAMPLE = Sample(n_prompts=1, prefixes=tuple(range(3, 41, 5)))
"""Prefixes spaced evenly about the middle, as for the heat map."""


@dataclass(frozen=True, kw_only=True)
class EachWorkload:
    """Predictions of one solver, at its default steps and every prefix; and the sample for the plain loop."""

    n_prompts: int = 64
    n_points: int = 41
    dim: int = 20
    sample: Sample = SAMPLE

    @property
    def n_problems(self) -> int:
        """Prefixes of at least one example, over all prompts."""
        return self.n_prompts * (self.n_points - 1)

    def draw(self) -> Prompts:
        """Prompts with standard normal inputs and some noise, so that no solver is done too soon; in float64."""
        task = LinearRegression(dim=self.dim, n_points=self.n_points, inputs="gaussian", noise_std=0.5)
        return task.sample(self.n_prompts, seed=0).to(dtype=torch.float64)


def compare_each(
    options: BenchOptions, workload: EachWorkload | None = None, among: Sequence[Rival] | None = None
) -> list[Comparison]:
    """Each solver against its plain loop, on one CPU thread; eigendecompositions are part of ours.

    The plain loops run on a sample, on the CPU, and their seconds are scaled to the whole ``workload``. ``among`` are
    the solvers and loops, all by default. Raises ValueError where two differ by more than `TOLERANCE`.
    """
    workload = workload or EachWorkload()
    prompts = workload.draw()
    moved = prompts.to(options.device)
    with cpu_threads(1):
        return [_compare(rival, prompts, moved, workload, options) for rival in (rivals() if among is None else among)]


def _compare(
    rival: Rival, prompts: Prompts, moved: Prompts, workload: EachWorkload, options: BenchOptions
) -> Comparison:
    sample, name = workload.sample, rival.solver.name
    # Checking first warms both ways up.
    same = _ours(rival.solver, moved, rival.steps).cpu()[:, : sample.n_prompts, list(sample.prefixes)]
    hyperparameters = rival.solver.describe() or "no hyperparameters"
    difference = (_plain(rival, prompts, sample) - same).abs().max().item()
    seconds = side_by_side(
        {
            "ours": lambda: _ours(rival.solver, moved, rival.steps),
            "plain": lambda: _plain(rival, prompts, sample),
        },
        options.repeats,
        options.device,
        name,
    )
    return Comparison(
        part="solvers",
        unit=f"{name} at every prefix",
        reference_name="plain loop",
        ours_runs=seconds["ours"],
        reference_runs=tuple(workload.n_problems / sample.n_problems * run for run in seconds["plain"]),
        required_ratio=None,
        largest_difference=require_agreement(f"Our {name} and its plain loop", difference, TOLERANCE),
        device=options.device.type,
        n_threads=1,
        note=(
            f"{workload.n_prompts} prompts of {workload.n_points} points in {workload.dim} dimensions, "
            f"{len(rival.steps)} step counts up to {max(rival.steps)}, {hyperparameters}; "
            f"the plain loop was measured on {sample.n_problems} of {workload.n_problems} problems and scaled"
        ),
    )


def _ours(solver: AbstractSolver, prompts: Prompts, steps: Sequence[int]) -> Float[Tensor, "step prompt point"]:
    return solver.predict(Regressions.every_prefix(prompts.xs, prompts.ys), steps)


def _plain(rival: Rival, prompts: Prompts, sample: Sample) -> Float[Tensor, "step prompt prefix"]:
    return predict_one_by_one(rival.predict, prompts[: sample.n_prompts], sample.prefixes)
