"""How the time of a match grows with the prompts and with the steps of every solver."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from interp.bench.comparison import Comparison
from interp.bench.options import BenchOptions
from interp.bench.timing import cpu_threads, side_by_side
from interp.matching import match_layers
from interp.models.build import build_model
from interp.models.regressor import RegressionModel
from interp.report.style import ACCENT, CONTROL, style
from interp.training import get_recipe


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Whose layers are matched, at which sizes. The sizes span a factor of 64."""

    recipe: str = "garg-tiny"
    """Of the model, which is not trained."""
    prompts: tuple[int, ...] = (64, 256, 1024, 4096)
    steps: tuple[int, ...] = (4, 16, 64, 256)
    """Step counts of every solver: 1, 2, ... up to each of these."""
    solvers: tuple[str, ...] = ("gd", "newton")
    """Where the steps vary; the default ones where the prompts do."""
    steps_prompts: int = 64
    """Prompts where the steps vary."""


def compare(options: BenchOptions, workload: Workload | None = None) -> list[Comparison]:
    """Seconds of `match_layers` at every size, on one CPU thread, controls included.

    The reference at a size is the time at the smallest one, times the factor between them: the ratio is at least 1 as
    long as time grows no faster than linearly. Every note holds the exponent fitted to all sizes.
    """
    workload = workload or Workload()
    recipe = get_recipe(workload.recipe)
    model = build_model(recipe.model, recipe.task, seed=0).to(options.device)
    return [
        *_compare(
            "prompts",
            {n: partial(match_layers, model, model.task.sample(n, seed=0)) for n in workload.prompts},
            f"default solvers and steps, {len(model.predicted_points)} points",
            options,
        ),
        *_compare(
            "steps per solver",
            {n: _match_steps(model, n, workload) for n in workload.steps},
            f"{' and '.join(workload.solvers)}, {workload.steps_prompts} prompts",
            options,
        ),
    ]


def draw_growth(comparisons: Sequence[Comparison]) -> Figure:
    """Seconds against size, both logarithmic, one panel for each thing that grows, with the fitted exponent.

    Takes what `compare` returns. The dotted line is linear growth from the smallest size.
    """
    by_kind: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.part == "growth":
            by_kind.setdefault(_kind(comparison), []).append(comparison)
    with style(ink="black"):
        figure = Figure(figsize=(3.6 * len(by_kind), 3.0), layout="constrained")
        axes = figure.subplots(1, len(by_kind), squeeze=False)[0]
        for ax, (kind, rows) in zip(axes, by_kind.items(), strict=True):
            sizes = [_size(row) for row in rows]
            seconds = [row.ours_s for row in rows]
            ax.loglog(sizes, seconds, "o-", color=ACCENT, label=f"measured, exponent {exponent(sizes, seconds):.2f}")
            linear = [seconds[0] * size / sizes[0] for size in sizes]
            ax.loglog(sizes, linear, ":", color=CONTROL, label="linear from the smallest")
            ax.set_xlabel(kind)
            ax.legend(frameon=False, fontsize=8.5)
        axes[0].set_ylabel("seconds of a match")
        return figure


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of log seconds against log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _compare(kind: str, works: dict[int, Callable[[], object]], what: str, options: BenchOptions) -> list[Comparison]:
    sizes = list(works)
    with cpu_threads(1):
        works[sizes[0]]()  # warms up
        runs = side_by_side(
            {str(n): work for n, work in works.items()}, options.repeats, options.device, f"match {kind}"
        )
    slope = exponent(sizes, [float(np.median(runs[str(n)])) for n in sizes])
    smallest = runs[str(sizes[0])]
    return [
        Comparison(
            part="growth",
            unit=f"match of {n} {kind}",
            reference_name=f"{n // sizes[0]} times that of {sizes[0]}",
            ours_runs=runs[str(n)],
            reference_runs=tuple(n / sizes[0] * run for run in smallest),
            required_ratio=None,
            largest_difference=math.nan,
            device=options.device.type,
            n_threads=1,
            note=f"{what}; seconds grow with exponent {slope:.2f} from {sizes[0]} to {sizes[-1]} {kind}",
        )
        for n in sizes
    ]


def _match_steps(model: RegressionModel, n: int, workload: Workload) -> Callable[[], object]:
    prompts = model.task.sample(workload.steps_prompts, seed=0)
    return partial(match_layers, model, prompts, workload.solvers, steps=range(1, n + 1))


def _kind(comparison: Comparison) -> str:
    return comparison.unit.removeprefix("match of ").split(" ", 1)[1]


def _size(comparison: Comparison) -> int:
    return int(comparison.unit.removeprefix("match of ").split(" ", 1)[0])
