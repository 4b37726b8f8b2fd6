"""Solvers by name."""

from dataclasses import fields
from typing import Any

from interp._names import unknown_name
from interp.solvers.gradient_descent import GradientDescent
from interp.solvers.gradient_descent_plus import GradientDescentPlus
from interp.solvers.newton import Newton
from interp.solvers.null import MeanPredictor, ZeroPredictor
from interp.solvers.ols import OrdinaryLeastSquares
from interp.solvers.ridge import Ridge
from interp.solvers.solver import AbstractSolver

_CLASSES: tuple[type[AbstractSolver], ...] = (
    GradientDescent,
    GradientDescentPlus,
    Newton,
    OrdinaryLeastSquares,
    Ridge,
    ZeroPredictor,
    MeanPredictor,
)

SOLVERS: dict[str, type[AbstractSolver]] = {cls.name: cls for cls in _CLASSES}
"""Every solver by the name that tables and the command line use."""

NULL_SOLVERS = ("zero", "mean")
"""Those that use nothing of the relation between x and y."""

if len(SOLVERS) != len(_CLASSES):
    raise RuntimeError(f"Two solvers share a name among {[cls.name for cls in _CLASSES]}.")


def make_solver(name: str, **hyperparameters: Any) -> AbstractSolver:
    """Build a solver by name; what is not given keeps its default.

    Raises ValueError for an unknown name (naming the nearest) or an unknown hyperparameter.
    """
    if name not in SOLVERS:
        raise unknown_name("solver", name, SOLVERS)
    known = [field.name for field in fields(SOLVERS[name])]
    for key in hyperparameters:
        if key not in known:
            raise unknown_name(f"hyperparameter of solver {name!r}", key, known or ["none"])
    return SOLVERS[name](**hyperparameters)
