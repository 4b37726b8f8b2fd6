"""Predictors that know nothing of the relation between x and y. A match must beat them to mean anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions
from interp.solvers.solver import AbstractSolver
from interp.solvers.trace import STATUS_CODES, SolverTrace, Status


@dataclass(frozen=True, kw_only=True)
class NullPredictor(AbstractSolver):
    """A one-shot predictor that ignores the query; its weight vector is 0."""

    default_steps: ClassVar[tuple[int, ...]] = (1,)

    @final
    def trace(self, problems: Regressions, steps: Sequence[int]) -> SolverTrace:
        """Its constant predictions, zero weights, and the status CONVERGED."""
        predictions = self.predict(problems, steps)
        prompts, dim = problems.xs.shape[0], problems.xs.shape[-1]
        shape = (len(steps), prompts, len(problems.prefixes))
        return SolverTrace(
            steps=tuple(steps),
            predictions=predictions,
            weights=problems.xs.new_zeros(*shape, dim),
            statuses=torch.full(shape, STATUS_CODES.index(Status.CONVERGED), device=problems.xs.device),
        )


@final
@dataclass(frozen=True, kw_only=True)
class ZeroPredictor(NullPredictor):
    """Predicts 0."""

    name: ClassVar[str] = "zero"

    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """0 at every column."""
        return problems.targets.new_zeros(len(steps), *problems.targets.shape)


@final
@dataclass(frozen=True, kw_only=True)
class MeanPredictor(NullPredictor):
    """Predicts the mean of the targets seen so far, and 0 before the first."""

    name: ClassVar[str] = "mean"

    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """The mean of each prefix's targets, for all of its queries."""
        sums = torch.nn.functional.pad(problems.ys.cumsum(1), (1, 0))
        index = torch.tensor(problems.prefixes, device=problems.ys.device)
        means = sums[:, index] / index.clamp(min=1)
        columns = means[..., None].expand(*means.shape, problems.queries.shape[2]).flatten(1)
        return columns.expand(len(steps), *columns.shape)
