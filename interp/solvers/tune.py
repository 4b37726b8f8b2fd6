"""The best step size: what a solver could do at most with so many steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from interp.solvers.descend import descend
from interp.solvers.registry import make_solver
from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.search import search
from interp.solvers.solver import AbstractSolver, check_steps
from interp.solvers.stepwise import StepwiseSolver
from interp.tasks import Prompts

GROWTH = (0.5, 0.9, 2.0, 4.0, 7.0)
"""Factors from step to step that the search for steps of their own starts from. None is 1: the gradient never tells
equal steps of gd apart, which are a saddle."""
FIRST = (2.0, 1.0, 0.3, 0.1)
"""What each hyperparameter of the first of such steps is, of the best shared one."""

BEYOND = 64
"""Eigenvalues beyond the largest at which a margin is watched."""


@dataclass(frozen=True)
class Tuned:
    """A solver with its best hyperparameters, and what they reach."""

    solver: AbstractSolver
    steps: int
    loss: float
    """Half the mean squared error over all queries of the prompts it was tuned on."""


def tune(
    solver: str | AbstractSolver,
    prompts: Prompts,
    steps: int = 1,
    *,
    points: Sequence[int] | None = None,
    per_step: bool = False,
    margin: float = 0.0,
) -> Tuned:
    """Find the free hyperparameters (lr, gamma, alpha) that minimise half the mean squared error after ``steps`` steps.

    They are shared by all steps or, with ``per_step`` (gd and gd++), each step has its own: never worse than the
    shared ones, found by descent from steps that grow or shrink geometrically. The error is taken at the
    prompts' queries, or at the given points. A solver without free hyperparameters comes back as it is, with its loss.

    Steps of their own make a polynomial of high degree, which may explode just beyond the eigenvalues that it was tuned
    on. A ``margin`` holds it: up to ``1 + margin`` times the largest of them, what is left of no direction shall grow.

    Raises ValueError for an unknown name, for ``per_step`` with solvers whose steps cannot differ, and for a margin
    below 0 or without ``per_step``.
    """
    start = make_solver(solver, **_placeholder(solver)) if isinstance(solver, str) else solver
    if per_step and not isinstance(start, StepwiseSolver):
        raise ValueError(f"The steps of {start.name!r} cannot differ from each other; leave `per_step` out.")
    if not 0 <= margin < math.inf or (margin > 0 and not per_step):
        raise ValueError(f"`margin` is a share from 0 up, for steps of their own (per_step=True); got {margin}.")
    problems = Regressions.of(prompts, points)
    (count,) = check_steps([steps])

    def loss(candidate: AbstractSolver) -> float:
        errors = candidate.predict(problems, [count])[0] - problems.targets
        return 0.5 * errors.square().mean().item()

    space = start.search_space(problems.spectrum)
    if not space:
        return Tuned(solver=start, steps=count, loss=loss(start))
    found = search(lambda values: loss(replace(start, **values)), space)
    shared = Tuned(solver=replace(start, **found.values), steps=count, loss=found.objective)
    if not per_step or count < 2:
        return shared
    assert isinstance(shared.solver, StepwiseSolver)
    best = _tune_each(shared.solver, problems, count, margin)
    tuned = Tuned(solver=best, steps=count, loss=loss(best))
    return tuned if tuned.loss < shared.loss else shared


def _tune_each(shared: StepwiseSolver, problems: Regressions, count: int, margin: float) -> StepwiseSolver:
    """One value per step and hyperparameter: descent in their logarithms, from many starts, step after step.

    The landscape has many valleys. Starts are geometric sequences, and the best values of one step fewer with another
    step behind, or before, them.
    """
    names = shared.stepwise
    unit = torch.tensor([getattr(shared, name) for name in names], dtype=torch.float64)[:, None].clamp(min=1e-12)
    moments, targets = problems.query_moments, problems.targets
    beyond = _beyond(problems.spectrum, margin)
    level = targets.square().mean()

    def objective(logs: Tensor) -> Tensor:
        by_step = dict(zip(names, logs.exp() * unit, strict=True))
        (response,) = shared.unrolled(problems.spectrum, [logs.shape[1]], by_step)
        predictions = (response[:, :, None, :] * moments).sum(-1)
        loss = 0.5 * (predictions.flatten(1) - targets).square().mean()
        if margin == 0:
            return loss
        (response,) = shared.unrolled(beyond, [logs.shape[1]], by_step)
        left = (1 - beyond.eigenvalues * response).abs()
        return loss + level * left.clamp(min=1).log().mean()

    firsts = [torch.tensor(first, dtype=torch.float64).log()[:, None] for first in product(FIRST, repeat=len(names))]
    best = torch.zeros(len(names), 1, dtype=torch.float64)
    for steps in range(2, count + 1):
        power = torch.arange(steps, dtype=torch.float64)
        starts = [first + math.log(growth) * power for growth in GROWTH for first in firsts]
        starts += [torch.cat([best, best[:, -1:] + math.log(growth)], dim=1) for growth in GROWTH]
        starts += [torch.cat([best[:, :1] - math.log(growth), best], dim=1) for growth in GROWTH]
        best = descend(objective, starts)
    values = best.exp() * unit
    return replace(shared, **{name: tuple(value.tolist()) for name, value in zip(names, values, strict=True)})


def _beyond(spectrum: Spectrum, margin: float) -> Spectrum:
    """Eigenvalues from the largest of a spectrum to ``1 + margin`` times it, as one problem with as many examples."""
    top = spectrum.eigenvalues.max().item()
    eigenvalues = torch.linspace(top, (1 + margin) * top, BEYOND, dtype=torch.float64)[None, None]
    return Spectrum(
        eigenvalues=eigenvalues,
        vectors=torch.eye(BEYOND, dtype=torch.float64)[None, None],
        moment=torch.zeros_like(eigenvalues),
        n_examples=spectrum.n_examples[:, -1:],
    )


def _placeholder(name: str) -> dict[str, object]:
    """Newton is free only from a constant start; the value itself is replaced by the search."""
    return {"scale": "constant", "alpha": 1.0} if name == "newton" else {}
