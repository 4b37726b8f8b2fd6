"""The scores of one measure, summed over prompts that come batch by batch."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from interp.matching.coincidences import Coincidences
from interp.matching.convergence import DIVERGED
from interp.matching.families import Family
from interp.matching.observed import Observed, Promptwise
from interp.matching.similarity import residual_squares
from interp.solvers import AbstractSolver
from probes import NamedSums, ResampledMeans, Spread


@dataclass(frozen=True)
class Choice:
    """A family with its hyperparameters and best steps, chosen on the selection prompts."""

    family: Family
    solver: AbstractSolver
    best: list[int]
    """Index of the best step for each layer, in one measure."""


@dataclass(frozen=True)
class Residual:
    """How far a family's iterates are from the layers' answers."""

    squares: ResampledMeans  # [layer step]
    finite: Bool[NDArray[np.bool_], "layer step"]
    """Whether they are at most `DIVERGED` on every prompt; where they are not, the squares mean nothing."""


@dataclass(frozen=True)
class Fitted(Choice):
    """A choice, scored on the estimation prompts."""

    similarity: ResampledMeans  # [layer step]
    residual: Residual | None
    """Where details were asked for."""


@dataclass(frozen=True)
class Details:
    """What a table says of the subject and not of its controls."""

    spread: ResampledMeans  # [layer]
    """Sum of squares of the layers' answers about their mean, the same units as `Residual`."""
    coincide: dict[tuple[int, int], list[str]]
    """See `Coincidences.found`."""


@dataclass(frozen=True)
class PipelineRun:
    """Everything that one pipeline found in one measure."""

    fitted: list[Fitted]
    null: ResampledMeans  # [null layer]
    details: Details | None


class ScoreSums:
    """Adds up how similar the iterates of chosen families are to the layers of a model."""

    def __init__(self, measure: Promptwise, choices: Sequence[Choice], n_prompts: int, *, with_details: bool) -> None:
        self._measure: Promptwise = measure
        self._choices = choices
        self._with_details = with_details
        self._sums = NamedSums(n_prompts)
        self._spread = Spread()
        self._finite: list[NDArray[np.bool_]] = []
        self._coincidences = Coincidences([c.family.name for c in choices], len(choices[0].best))

    def add(self, observed: Observed, iterates: Sequence[Float[Tensor, "_ prompt column"]]) -> None:
        """Take the next prompts, with every family's iterates for them."""
        values: dict[Hashable, NDArray[np.float64]] = {"null": _by_prompt(observed.null_similarity(self._measure))}
        for index, (choice, predictions) in enumerate(zip(self._choices, iterates, strict=True)):
            if self._measure == "errors":
                similarity = observed.similarity_of_errors(predictions)
            else:
                similarity = observed.similarity(choice.solver, choice.family.steps, self._measure)
            values["similarity", index] = _by_prompt(similarity)
        if self._with_details:
            values |= self._details(observed, [observed.kept(predictions) for predictions in iterates])
        self._sums.add(values)

    def run(self) -> PipelineRun:
        """What all prompts together say."""
        means = self._sums.means()
        details = None
        if self._with_details:
            details = Details(self._spread.about_mean(means["spread"]), self._coincidences.found())
        fitted = [
            Fitted(
                family=choice.family,
                solver=choice.solver,
                best=choice.best,
                similarity=means["similarity", index],
                residual=Residual(means["residual", index], self._finite[index]) if self._with_details else None,
            )
            for index, choice in enumerate(self._choices)
        ]
        return PipelineRun(fitted=fitted, null=means["null"], details=details)

    def _details(
        self, observed: Observed, iterates: Sequence[Float[Tensor, "_ prompt column"]]
    ) -> dict[Hashable, NDArray[np.float64]]:
        layers = observed.kept(observed.predictions)
        values: dict[Hashable, NDArray[np.float64]] = {
            "spread": self._spread.terms(rearrange(layers, "layer prompt column -> prompt column layer"))
        }
        finite = []
        for index, predictions in enumerate(iterates):
            squares = residual_squares(layers, predictions)
            usable = squares <= DIVERGED  # what is larger, or not a number, cannot be summed
            finite.append(np.asarray(usable.all(-1).cpu()))
            values["residual", index] = _by_prompt(torch.where(usable, squares, 0.0))
        self._finite = [a & b for a, b in zip(self._finite, finite, strict=True)] if self._finite else finite
        self._coincidences.add(
            [predictions[choice.best] for choice, predictions in zip(self._choices, iterates, strict=True)]
        )
        return values


def _by_prompt(values: Float[Tensor, "... prompt"]) -> Float[NDArray[np.float64], "prompt ..."]:
    return np.asarray(values.movedim(-1, 0).cpu())
