"""Solvers that are not spectral, and compute their weight vectors themselves."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.solvers.regressions import Regressions
from interp.solvers.solver import AbstractSolver
from interp.solvers.trace import SolverTrace, classify_fit

Weights = Float[Tensor, "step prompt prefix dim"]


@dataclass(frozen=True, kw_only=True)
class WeightSolver(AbstractSolver):
    """A solver whose weights are no scalar function of S times X^T y. A subclass computes them, for all problems."""

    @abstractmethod
    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """The weight vector of every prefix after each number of steps, in the order of ``steps``."""

    def statuses(self, problems: Regressions, weights: Weights) -> Int[Tensor, "step prompt prefix"]:
        """Status codes of these weights: how much of the least-squares fit they lack, unless overridden."""
        return classify_fit(weights, problems.spectrum)

    @final
    def trace(self, problems: Regressions, steps: Sequence[int]) -> SolverTrace:
        """The weights, what they answer to the queries, and how they stand."""
        weights = self.weights(problems, steps)
        return SolverTrace(
            steps=tuple(steps),
            predictions=_answers(weights, problems),
            weights=weights,
            statuses=self.statuses(problems, weights),
        )

    @final
    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """What the weights answer to the queries."""
        return _answers(self.weights(problems, steps), problems)


def _answers(weights: Weights, problems: Regressions) -> Float[Tensor, "step prompt column"]:
    return torch.einsum("sptd,ptqd->sptq", weights, problems.queries).flatten(2)
