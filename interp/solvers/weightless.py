"""Predictors without a weight vector."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from interp.solvers.regressions import Regressions
from interp.solvers.solver import AbstractSolver
from interp.solvers.trace import STATUS_CODES, SolverTrace, Status


@dataclass(frozen=True, kw_only=True)
class WeightlessPredictor(AbstractSolver):
    """A one-shot predictor that is not linear in the query, or ignores it; its weights are given as 0.

    A subclass writes `predict`.
    """

    default_steps: ClassVar[tuple[int, ...]] = (1,)

    @final
    def trace(self, problems: Regressions, steps: Sequence[int]) -> SolverTrace:
        """Its predictions, the same at every step; zero weights; and the status CONVERGED."""
        predictions = self.predict(problems, steps)
        prompts, dim = problems.xs.shape[0], problems.xs.shape[-1]
        shape = (len(steps), prompts, len(problems.prefixes))
        return SolverTrace(
            steps=tuple(steps),
            predictions=predictions,
            weights=problems.xs.new_zeros(*shape, dim),
            statuses=torch.full(shape, STATUS_CODES.index(Status.CONVERGED), device=problems.xs.device),
        )
