"""Solvers by name."""

from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from interp._names import unknown_name
from interp._usage import UsageError
from interp.solvers.averaging import Averaging
from interp.solvers.bfgs import BFGS
from interp.solvers.chebyshev import Chebyshev
from interp.solvers.conjugate_gradient import ConjugateGradient
from interp.solvers.gradient_descent import GradientDescent
from interp.solvers.gradient_descent_plus import GradientDescentPlus
from interp.solvers.gradient_flow import GradientFlow
from interp.solvers.heavy_ball import HeavyBall
from interp.solvers.lasso import Lasso
from interp.solvers.lbfgs import LBFGS
from interp.solvers.nearest_neighbours import NearestNeighbours
from interp.solvers.nesterov import Nesterov
from interp.solvers.newton import Newton
from interp.solvers.null import MeanPredictor, ZeroPredictor
from interp.solvers.ols import OrdinaryLeastSquares
from interp.solvers.online import OnlineGradientDescent
from interp.solvers.ridge import Ridge
from interp.solvers.solver import AbstractSolver

_CLASSES: tuple[type[AbstractSolver], ...] = (
    GradientDescent,
    GradientDescentPlus,
    GradientFlow,
    HeavyBall,
    Nesterov,
    Chebyshev,
    ConjugateGradient,
    BFGS,
    LBFGS,
    Newton,
    OnlineGradientDescent,
    OrdinaryLeastSquares,
    Ridge,
    Lasso,
    Averaging,
    NearestNeighbours,
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

    Raises ValueError for an unknown name (naming the nearest), an unknown hyperparameter, an option that there is not,
    and text where a number is due.
    """
    if name not in SOLVERS:
        raise unknown_name("solver", name, SOLVERS)
    known = [field.name for field in fields(SOLVERS[name])]
    for key in hyperparameters:
        if key not in known:
            raise unknown_name(f"hyperparameter of solver {name!r}", key, known or ["none"])
        _check_value(name, key, hyperparameters[key])
    return SOLVERS[name](**hyperparameters)


def _check_value(name: str, key: str, value: object) -> None:
    hint = get_type_hints(SOLVERS[name])[key]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise unknown_name(f"{key} of solver {name!r}", str(value), get_args(hint))
    elif isinstance(value, str):
        raise UsageError(f"Hyperparameter {key!r} of solver {name!r} is a number, got {value!r}.")
