"""Predictors that know nothing of the relation between x and y. A match must beat them to mean anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions
from interp.solvers.weightless import WeightlessPredictor


@final
@dataclass(frozen=True, kw_only=True)
class ZeroPredictor(WeightlessPredictor):
    """Predicts 0."""

    name: ClassVar[str] = "zero"

    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """0 at every column."""
        return problems.targets.new_zeros(len(steps), *problems.targets.shape)


@final
@dataclass(frozen=True, kw_only=True)
class MeanPredictor(WeightlessPredictor):
    """Predicts the mean of the targets seen so far, and 0 before the first."""

    name: ClassVar[str] = "mean"

    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """The mean of each prefix's targets, for all of its queries."""
        sums = torch.nn.functional.pad(problems.ys.cumsum(1), (1, 0))
        index = torch.tensor(problems.prefixes, device=problems.ys.device)
        means = sums[:, index] / index.clamp(min=1)
        columns = means[..., None].expand(*means.shape, problems.queries.shape[2]).flatten(1)
        return columns.expand(len(steps), *columns.shape)
