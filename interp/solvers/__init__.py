"""The algorithms that a layer may be running, every prefix of every prompt at once."""

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
from interp.solvers.registry import NULL_SOLVERS, SOLVERS, make_solver
from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.ridge import Ridge
from interp.solvers.search import Range, Search, search
from interp.solvers.solver import AbstractSolver
from interp.solvers.spectral import SpectralSolver
from interp.solvers.trace import SolverTrace, Status
from interp.solvers.tune import Tuned, tune

__all__ = [
    "BFGS",
    "LBFGS",
    "NULL_SOLVERS",
    "SOLVERS",
    "AbstractSolver",
    "Averaging",
    "Chebyshev",
    "ConjugateGradient",
    "GradientDescent",
    "GradientDescentPlus",
    "GradientFlow",
    "HeavyBall",
    "Lasso",
    "MeanPredictor",
    "NearestNeighbours",
    "Nesterov",
    "Newton",
    "OnlineGradientDescent",
    "OrdinaryLeastSquares",
    "Range",
    "Regressions",
    "Ridge",
    "Search",
    "SolverTrace",
    "SpectralSolver",
    "Spectrum",
    "Status",
    "Tuned",
    "ZeroPredictor",
    "make_solver",
    "search",
    "tune",
]
