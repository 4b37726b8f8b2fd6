"""One side of a match: what the layers answered to some prompts, ready to be compared with any solver."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.similarity import (
    prediction_r2,
    similarity_of_errors,
    similarity_of_weights,
)
from interp.solvers import NULL_SOLVERS, AbstractSolver, Regressions, make_solver

Measure = Literal["errors", "weights", "response"]
"""What is compared: errors, induced weights (their directions), or spectral responses (see `ResponseSums`)."""

Promptwise = Literal["errors", "weights"]
"""Measures that each prompt has by itself; a response takes many prompts."""


@dataclass(frozen=True)
class Observed:
    """Layers' answers to prompts, and the problems that solvers are given for comparison."""

    predictions: Float[Tensor, "layer prompt column"]
    problems: Regressions
    first_column: int
    """Columns before this one are left out: at the first point nobody knows anything."""
    weights: Float[Tensor, "layer prompt column dim"] | None = None
    """Induced weights, where their similarity is wanted too."""

    def similarity(
        self, solver: AbstractSolver, steps: tuple[int, ...], measure: Promptwise = "errors"
    ) -> Float[Tensor, "layer step prompt"]:
        """Similarity of every layer with every iterate, prompt by prompt."""
        if measure == "errors":
            return similarity_of_errors(self._kept(self.predictions), self._iterates(solver, steps), self._targets)
        assert self.weights is not None
        by_prefix = solver.trace(self.problems, steps).weights
        # The queries of one prefix share its solver weights.
        iterates = by_prefix.repeat_interleave(self.weights.shape[2] // by_prefix.shape[2], dim=2)
        kept = slice(self.first_column, None)
        return similarity_of_weights(self.weights[:, :, kept], iterates[:, :, kept])

    def null_similarity(self, measure: Promptwise = "errors") -> Float[Tensor, "null layer prompt"]:
        """Similarity with each predictor that knows nothing."""
        return torch.stack([self.similarity(make_solver(name), (1,), measure)[:, 0] for name in NULL_SOLVERS])

    @property
    def weights_by_prefix(self) -> Float[Tensor, "layer prompt prefix dim"]:
        """Induced weights, averaged over the queries of a prefix where it has several."""
        assert self.weights is not None
        return self.weights.unflatten(2, (len(self.problems.prefixes), -1)).mean(3)

    def r2_sums(
        self, solver: AbstractSolver, steps: tuple[int, ...]
    ) -> tuple[Float[Tensor, "layer step prompt"], Float[Tensor, "layer prompt"]]:
        """Residual and total sums of squares of the iterates as predictions of the layers' answers."""
        return prediction_r2(self._kept(self.predictions), self._iterates(solver, steps))

    def same_answers(self, a: tuple[AbstractSolver, int], b: tuple[AbstractSolver, int]) -> bool:
        """Whether two iterates, given as (solver, step), predict the same to a part in a thousand."""
        first, second = (self._iterates(solver, (step,)) for solver, step in (a, b))
        return bool((first - second).norm() <= 1e-3 * first.norm())

    def first_prompts(self, count: int) -> "Observed":
        """The same for the first ``count`` prompts (all, if there are no more), where fewer will do."""
        problems = Regressions(
            xs=self.problems.xs[:count],
            ys=self.problems.ys[:count],
            prefixes=self.problems.prefixes,
            queries=self.problems.queries[:count],
            targets=self.problems.targets[:count],
        )
        weights = None if self.weights is None else self.weights[:, :count]
        return Observed(self.predictions[:, :count], problems, self.first_column, weights)

    @property
    def _targets(self) -> Float[Tensor, "prompt column"]:
        return self._kept(self.problems.targets)

    def _iterates(self, solver: AbstractSolver, steps: tuple[int, ...]) -> Float[Tensor, "step prompt column"]:
        return self._kept(solver.predict(self.problems, steps))

    def _kept(self, values: Tensor) -> Tensor:
        return values[..., self.first_column :]
