"""Candidates of a match: a solver with its free hyperparameters, and the steps to try."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from interp._names import unknown_name
from interp._specs import parse_spec
from interp._usage import UsageError
from interp.solvers import NULL_SOLVERS, SOLVERS, AbstractSolver, Newton, make_solver
from interp.solvers.solver import check_steps

DEFAULT_FAMILIES = ("gd", "gd++", "newton", "ridge", "ols")


@dataclass(frozen=True)
class Family:
    """An algorithm as a candidate: templates whose hyperparameters may be free, and the steps to try."""

    name: str
    templates: tuple[AbstractSolver, ...]
    steps: tuple[int, ...]
    fixed: bool
    """Whether the caller fixed the hyperparameters."""

    @property
    def is_null(self) -> bool:
        """Whether the family knows nothing of the relation between x and y."""
        return self.name in NULL_SOLVERS


def make_family(
    candidate: str | AbstractSolver | Family, *, many_prefixes: bool, steps: Sequence[int] | None = None
) -> Family:
    """Turn what the caller names into a candidate.

    A bare name leaves hyperparameters free, discrete choices included: gd and its kin are tried with both
    normalisations where prefixes differ in length, newton with its published scale and with a fitted constant. A name
    with parameters (``gd:lr=0.02,normalize=sum``) or a solver object is taken as it is. ``steps`` replaces the solver's
    default grid. Raises ValueError for unknown names and for steps that are not counts.
    """
    if isinstance(candidate, Family):
        return candidate
    if isinstance(candidate, str):
        name, parameters = parse_spec(candidate)
        if name not in SOLVERS:
            raise unknown_name("solver", name, SOLVERS)
        if not parameters:
            templates = _free_templates(name, many_prefixes)
            return Family(name, templates, _grid(steps, templates[0]), fixed=False)
        candidate = make_solver(name, **parameters)
    return Family(candidate.name, (candidate,), _grid(steps, candidate), fixed=True)


def with_nulls(families: Sequence[Family]) -> list[Family]:
    """The families, with the null predictors among them.

    Candidates of one name that the caller fixed are told apart by their hyperparameters. Raises ValueError for the
    same candidate twice.
    """
    shared = {name for name, count in Counter(family.name for family in families).items() if count > 1}
    apart = [
        replace(family, name=f"{family.name} ({family.templates[0].describe()})")
        if family.fixed and family.name in shared
        else family
        for family in families
    ]
    named = {family.name for family in apart}
    if len(named) < len(apart):
        raise UsageError(f"The same candidate is named twice among {[family.name for family in apart]}.")
    nulls = (make_family(name, many_prefixes=False) for name in NULL_SOLVERS if name not in named)
    return [*apart, *nulls]


def _grid(steps: Sequence[int] | None, solver: AbstractSolver) -> tuple[int, ...]:
    return solver.default_steps if steps is None else check_steps(steps)


def _free_templates(name: str, many_prefixes: bool) -> tuple[AbstractSolver, ...]:
    solver = make_solver(name)
    if many_prefixes and "normalize" in {field.name for field in fields(solver)}:
        return (solver, make_solver(name, normalize="sum"))
    if isinstance(solver, Newton):
        return (Newton(scale="constant", alpha=1.0), solver)
    return (solver,)
