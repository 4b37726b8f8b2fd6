"""The best step size: what a solver could do at most with so many steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from interp.solvers.registry import make_solver
from interp.solvers.regressions import Regressions
from interp.solvers.search import search
from interp.solvers.solver import AbstractSolver, check_steps
from interp.tasks import Prompts


@dataclass(frozen=True)
class Tuned:
    """A solver with its best hyperparameters, and what they reach."""

    solver: AbstractSolver
    steps: int
    loss: float
    """Half the mean squared error over all queries of the prompts it was tuned on."""


def tune(
    solver: str | AbstractSolver, prompts: Prompts, steps: int = 1, *, points: Sequence[int] | None = None
) -> Tuned:
    """Find the free hyperparameters (lr, gamma, alpha) that minimise half the mean squared error after ``steps`` steps.

    They are shared by all steps. The error is taken at the prompts' queries, or at the given points. A solver without
    free hyperparameters comes back as it is, with its loss. Raises ValueError for an unknown name.
    """
    start = make_solver(solver, **_placeholder(solver)) if isinstance(solver, str) else solver
    problems = Regressions.of(prompts, points)
    (count,) = check_steps([steps])

    def loss(candidate: AbstractSolver) -> float:
        errors = candidate.predict(problems, [count])[0] - problems.targets
        return 0.5 * errors.square().mean().item()

    space = start.search_space(problems.spectrum)
    if not space:
        return Tuned(solver=start, steps=count, loss=loss(start))
    found = search(lambda values: loss(replace(start, **values)), space)
    return Tuned(solver=replace(start, **found.values), steps=count, loss=found.objective)


def _placeholder(name: str) -> dict[str, object]:
    """Newton is free only from a constant start; the value itself is replaced by the search."""
    return {"scale": "constant", "alpha": 1.0} if name == "newton" else {}
