"""One side of a match: what the layers answered to some prompts, ready to be compared with any solver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.similarity import similarity_of_errors, similarity_of_weights
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

    def __len__(self) -> int:
        return self.predictions.shape[1]

    @classmethod
    def join(cls, parts: "Sequence[Observed]") -> "Observed":
        """The same layers on batches of prompts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first, problems = parts[0], [part.problems for part in parts]
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            predictions=torch.cat([part.predictions for part in parts], dim=1),
            problems=Regressions(
                xs=torch.cat([part.xs for part in problems]),
                ys=torch.cat([part.ys for part in problems]),
                prefixes=first.problems.prefixes,
                queries=torch.cat([part.queries for part in problems]),
                targets=torch.cat([part.targets for part in problems]),
            ),
            first_column=first.first_column,
            weights=torch.cat(weights, dim=1) if weights else None,
        )

    def similarity(
        self, solver: AbstractSolver, steps: tuple[int, ...], measure: Promptwise = "errors"
    ) -> Float[Tensor, "layer step prompt"]:
        """Similarity of every layer with every iterate, prompt by prompt."""
        if measure == "errors":
            return self.similarity_of_errors(solver.predict(self.problems, steps))
        assert self.weights is not None
        by_prefix = solver.trace(self.problems, steps).weights
        # The queries of one prefix share its solver weights.
        iterates = by_prefix.repeat_interleave(self.weights.shape[2] // by_prefix.shape[2], dim=2)
        kept = slice(self.first_column, None)
        return similarity_of_weights(self.weights[:, :, kept], iterates[:, :, kept])

    def similarity_of_errors(self, iterates: Float[Tensor, "step prompt column"]) -> Float[Tensor, "layer step prompt"]:
        """Similarity of errors with iterates that have been computed."""
        layers, iterates, targets = (self.kept(v) for v in (self.predictions, iterates, self.problems.targets))
        return similarity_of_errors(layers, iterates, targets)

    def null_similarity(self, measure: Promptwise = "errors") -> Float[Tensor, "null layer prompt"]:
        """Similarity with each predictor that knows nothing."""
        return torch.stack([self.similarity(make_solver(name), (1,), measure)[:, 0] for name in NULL_SOLVERS])

    @property
    def weights_by_prefix(self) -> Float[Tensor, "layer prompt prefix dim"]:
        """Induced weights, averaged over the queries of a prefix where it has several."""
        assert self.weights is not None
        return self.weights.unflatten(2, (len(self.problems.prefixes), -1)).mean(3)

    def first_prompts(self, count: int) -> "Observed":
        """The same for the first ``count`` prompts (all, if there are no more), where fewer will do."""
        if count >= len(self):
            return self
        problems = Regressions(
            xs=self.problems.xs[:count],
            ys=self.problems.ys[:count],
            prefixes=self.problems.prefixes,
            queries=self.problems.queries[:count],
            targets=self.problems.targets[:count],
        )
        weights = None if self.weights is None else self.weights[:, :count]
        return Observed(self.predictions[:, :count], problems, self.first_column, weights)

    def kept(self, values: Tensor) -> Tensor:
        """Values [... column] at the columns that count."""
        return values[..., self.first_column :]


class Held:
    """The first prompts of all that are observed, as many as are to be held, for what takes many of them at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._parts: list[Observed] = []

    def add(self, observed: Observed) -> None:
        """Take from the next prompts as many as are still to be held."""
        left = self._count - sum(map(len, self._parts))
        if left > 0:
            self._parts.append(observed.first_prompts(left))

    def joined(self) -> Observed | None:
        """Those held; None for none."""
        return Observed.join(self._parts) if self._parts else None
