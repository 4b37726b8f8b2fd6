"""The lasso."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import sklearn.linear_model
import torch
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.search import Range
from interp.solvers.trace import STATUS_CODES, Status
from interp.solvers.weight_solver import Weights, WeightSolver

OPTIMAL = 1e-9
"""Largest violation of the optimality conditions, as a share of the largest entry of X^T y, that is rounding noise."""


@final
@dataclass(frozen=True, kw_only=True)
class Lasso(WeightSolver):
    """Least squares with the penalty ``alpha |w|_1`` (Tibshirani 1996); one-shot.

    The objective is scikit-learn's, without intercept: ``|y - X w|^2 / (2 n) + alpha |w|_1`` over the n examples of
    each prefix. Weights come from the exact path over all penalties; where ties lead that astray, from scikit-learn's
    coordinate descent. It is not linear in the targets, and a rotation of the inputs changes it.
    Raises ValueError unless alpha is positive: at 0 the solution need not be unique.
    """

    name: ClassVar[str] = "lasso"
    default_steps: ClassVar[tuple[int, ...]] = (1,)

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"Lasso needs a positive penalty `alpha`, got {self.alpha}; the limit 0 is solver 'ols'.")

    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """The solution at every prefix, the same at every step."""
        found = problems.lasso_path.at(self._penalty(problems)[0, :, 0])
        astray = self._violation(problems, found) > OPTIMAL
        for p, t in astray.nonzero().tolist():
            n = problems.prefixes[t]
            found[p, t] = _coordinate_descent(problems.xs[p, :n], problems.ys[p, :n], self.alpha)
        return found.expand(len(steps), *found.shape)

    def statuses(self, problems: Regressions, weights: Weights) -> Int[Tensor, "step prompt prefix"]:
        """CONVERGED where the optimality conditions hold to a part in a million, else RUNNING."""
        solved = self._violation(problems, weights) <= 1e-6
        codes = STATUS_CODES.index(Status.CONVERGED), STATUS_CODES.index(Status.RUNNING)
        return torch.where(solved, *codes)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Up to about the penalty at which all weights are 0, which is the largest entry of X^T y / n."""
        longest = int(spectrum.n_examples.flatten().argmax())
        top = spectrum.moment[:, longest].norm(dim=-1).mean().item() / spectrum.longest
        return {"alpha": Range(1e-4 * top, top, log=True)}

    def _penalty(self, problems: Regressions) -> Float[Tensor, "1 prefix 1"]:
        """``n alpha``, the penalty beside ``|y - X w|^2 / 2``."""
        return self.alpha * torch.tensor(problems.prefixes).to(problems.xs)[None, :, None]

    def _violation(self, problems: Regressions, weights: Tensor) -> Tensor:
        """How far each problem is from optimal: the correlation of an active coordinate is its sign times the penalty.

        That of any other is at most the penalty. Given as a share of the largest entry of X^T y; 0 where that is 0.
        """
        gram, moment = problems.sums()
        penalty = self._penalty(problems)
        correlation = moment - (gram @ weights[..., None])[..., 0]
        excess = torch.where(weights != 0, correlation - penalty * weights.sign(), correlation.abs() - penalty)
        worst = torch.where(weights != 0, excess.abs(), excess.clamp(min=0)).amax(-1)
        scale = moment.abs().amax(-1)
        return torch.where(scale > 0, worst / scale, worst)


def _coordinate_descent(
    X: Float[Tensor, "point dim"], y: Float[Tensor, " point"], alpha: float
) -> Float[Tensor, " dim"]:
    model = sklearn.linear_model.Lasso(alpha=alpha, fit_intercept=False, tol=1e-10, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the trace's status says so
        model.fit(X.cpu().numpy(), y.cpu().numpy())
    return torch.from_numpy(np.atleast_1d(model.coef_)).to(X)
