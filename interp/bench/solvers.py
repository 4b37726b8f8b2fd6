"""The solvers: Fu et al. (2023)'s heat maps, ours against two plain ways; then each solver against a plain loop."""

from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.each_solver import EachWorkload, compare_each
from interp.bench.heat_map import HeatMap, Sample, Workload, heat_map
from interp.bench.options import BenchOptions
from interp.bench.plain_solvers import (
    Predictor,
    cosines_one_by_one,
    from_scratch,
    keeping_the_trajectory,
    predict_one_by_one,
)
from interp.bench.timing import cpu_threads, side_by_side
from interp.tasks import Prompts

TOLERANCE = 1e-4
"""Largest difference allowed between the ways, for predictions in units of y; all compute in float64."""


def compare(
    options: BenchOptions, workload: Workload | None = None, each: EachWorkload | None = None
) -> list[Comparison]:
    """The heat maps of `compare_heat_maps`, then every solver as in `compare_each`, which see."""
    return [*compare_heat_maps(options, workload), *compare_each(options, each)]


def compare_heat_maps(options: BenchOptions, workload: Workload | None = None) -> list[Comparison]:
    """Our heat map against the published way and against one that keeps its trajectories, on one CPU thread.

    The plain ways run on samples, on the CPU, and their seconds are scaled to the whole ``workload`` (that of
    Fu et al. by default). Raises ValueError where ours differs from a plain way by more than `TOLERANCE`.
    """
    workload = workload or Workload()
    ways = _plain_ways(workload)
    prompts, layers = workload.draw()
    moved_prompts, moved_layers = prompts.to(options.device), layers.to(options.device)
    with cpu_threads(1):
        # Checking first warms every way up, and fails before the long part.
        ours = heat_map(moved_prompts, moved_layers, workload)
        ours = HeatMap(ours.predictions.cpu(), ours.similarity.cpu())
        cosine_difference = _check_cosines(ours, prompts, layers, workload)
        differences = {way.name: max(_check_predictions(ours, way, prompts), cosine_difference) for way in ways}
        seconds = side_by_side(
            {
                "ours": lambda: heat_map(moved_prompts, moved_layers, workload),
                "cosines": lambda: _plain_cosines(ours, prompts, layers, workload),
                **{way.name: partial(way.run, prompts) for way in ways},
            },
            options.repeats,
            options.device,
            "solvers",
        )
    cosine_scale = workload.n_prompts / workload.similarity_prompts
    return [
        Comparison(
            part="solvers",
            unit="heat map",
            reference_name=way.name,
            ours_runs=seconds["ours"],
            reference_runs=tuple(
                workload.n_problems / way.sample.n_problems * run + cosine_scale * cosines
                for run, cosines in zip(seconds[way.name], seconds["cosines"], strict=True)
            ),
            required_ratio=way.required_ratio,
            largest_difference=differences[way.name],
            device=options.device.type,
            n_threads=1,
            note=way.note(workload),
        )
        for way in ways
    ]


@dataclass(frozen=True)
class _PlainWay:
    name: str
    description: str
    predict: Predictor
    sample: Sample
    required_ratio: float

    def run(self, prompts: Prompts) -> Float[Tensor, "step prompt prefix"]:
        return predict_one_by_one(self.predict, prompts[: self.sample.n_prompts], self.sample.prefixes)

    def note(self, workload: Workload) -> str:
        sample = self.sample
        return (
            f"{self.description}; measured on the CPU on {sample.n_problems} of {workload.n_problems} "
            f"problems ({sample.n_prompts} of {workload.n_prompts} prompts, {len(sample.prefixes)} of "
            f"{workload.n_points - 1} prefixes, all {workload.n_steps} step counts), cosines on "
            f"{workload.similarity_prompts} prompts, and scaled to all"
        )


def _plain_ways(workload: Workload) -> tuple[_PlainWay, _PlainWay]:
    grids = (workload.newton_steps, workload.gd_steps, workload.lr)
    return (
        _PlainWay(
            name="published",
            description="every step count from scratch, prompt by prompt and prefix by prefix",
            predict=from_scratch(*grids),
            sample=workload.scratch,
            required_ratio=3000.0,
        ),
        _PlainWay(
            name="trajectory",
            description="once to the largest step, prompt by prompt and prefix by prefix",
            predict=keeping_the_trajectory(*grids),
            sample=workload.trajectory,
            required_ratio=100.0,
        ),
    )


def _check_predictions(ours: HeatMap, way: _PlainWay, prompts: Prompts) -> float:
    same = ours.predictions[:, : way.sample.n_prompts, list(way.sample.prefixes)]
    difference = (way.run(prompts) - same).abs().max().item()
    return require_agreement(f"Our predictions and those of the {way.name!r} way", difference, TOLERANCE)


def _check_cosines(ours: HeatMap, prompts: Prompts, layers: Tensor, workload: Workload) -> float:
    plain = _plain_cosines(ours, prompts, layers, workload)
    difference = (plain - ours.similarity[..., : workload.similarity_prompts]).abs().max().item()
    return require_agreement("Our similarities of errors and plain ones", difference, TOLERANCE)


def _plain_cosines(
    ours: HeatMap, prompts: Prompts, layers: Tensor, workload: Workload
) -> Float[Tensor, "layer step prompt"]:
    n = workload.similarity_prompts
    return cosines_one_by_one(layers[:, :n], ours.predictions[:, :n], prompts.ys[:n])
