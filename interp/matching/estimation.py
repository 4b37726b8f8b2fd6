"""What was chosen on one half of the prompts, scored on the other, batch by batch."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from interp.matching.convergence import prompt_errors_of
from interp.matching.families import Family
from interp.matching.layer_errors import LayerPredictions
from interp.matching.observed import Held, Observed, Promptwise
from interp.matching.observing import Half, Seen
from interp.matching.score_sums import Choice, PipelineRun, ScoreSums
from interp.solvers import AbstractSolver
from probes import NamedSums, ResampledMeans


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """What the estimation prompts say."""

    runs: dict[Promptwise, PipelineRun]
    """The scores, for each prompt-wise measure."""
    estimation: Observed | None
    """The first prompts that have induced weights, as many as were to be held; None for none."""
    answers: Observed | None
    """The first prompts, whether they have induced weights or not."""
    layer_errors: ResampledMeans | None  # [layer]
    """Mean squared errors of the layers, where details were asked for."""
    solver_errors: list[ResampledMeans]  # [step]
    """Those of every family's iterates."""


class Estimation:
    """Adds up everything that is estimated on a half of the prompts.

    Families come with their solvers, and for every measure with the steps chosen. ``with_details`` adds what only the
    subject's own table says.
    """

    def __init__(
        self,
        half: Half,
        solvers: Sequence[tuple[Family, AbstractSolver]],
        choices: Mapping[Promptwise, Sequence[Choice]],
        *,
        hold: int,
        with_details: bool,
    ) -> None:
        self._solvers = solvers
        self._with_details = with_details
        self._sums = {
            measure: ScoreSums(
                measure, chosen, half.n_weighed if measure == "weights" else len(half), with_details=with_details
            )
            for measure, chosen in choices.items()
        }
        self._errors = NamedSums(len(half))
        self._answers, self._weighed = Held(hold), Held(hold)

    def add(self, seen: Seen) -> None:
        """Take the next prompts."""
        answers, weighed = seen.answers, seen.weighed
        self._answers.add(answers)
        iterates = self._iterates(answers)
        if "errors" in self._sums:
            self._sums["errors"].add(answers, iterates)
        if weighed is not None:
            self._weighed.add(weighed)
            if "weights" in self._sums:
                self._sums["weights"].add(weighed, [predictions[:, : len(weighed)] for predictions in iterates])
        if self._with_details:
            self._errors.add(_squared_errors(answers, iterates))

    def found(self) -> Estimated:
        """What all prompts together say."""
        errors = self._errors.means() if self._with_details else {}
        return Estimated(
            runs={measure: sums.run() for measure, sums in self._sums.items()},
            estimation=self._weighed.joined(),
            answers=self._answers.joined(),
            layer_errors=errors.get("layers"),
            solver_errors=[errors[index] for index in range(len(self._solvers))] if errors else [],
        )

    def _iterates(self, observed: Observed) -> list[Tensor]:
        """Predictions [step prompt column] of every family; no steps at all where nobody looks at them."""
        wanted = self._with_details or "errors" in self._sums
        return [
            solver.predict(observed.problems, family.steps) if wanted else observed.predictions[:0]
            for family, solver in self._solvers
        ]


def _squared_errors(observed: Observed, iterates: Sequence[Tensor]) -> dict[Hashable, NDArray[np.float64]]:
    """Of the layers and of every family's iterates, where the examples determine the answer if some columns do."""
    layers, first = LayerPredictions(observed.predictions, observed.problems), _first_determined(observed)
    values: dict[Hashable, NDArray[np.float64]] = {}
    for index, predictions in enumerate(iterates):
        values["layers"], values[index] = prompt_errors_of(layers, predictions, first)
    return values


def _first_determined(observed: Observed) -> int:
    """The first column with at least as many examples as dimensions; where there is none, the first that counts."""
    n_examples = LayerPredictions(observed.predictions, observed.problems).n_examples
    determined = np.flatnonzero(n_examples >= observed.problems.xs.shape[-1])
    return int(determined[0]) if len(determined) else observed.first_column
