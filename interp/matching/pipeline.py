"""From a model and prompts to the iterates that fit its layers best: one run for the subject, one for each control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import probes
from interp.matching.estimation import Estimated, Estimation
from interp.matching.families import Family
from interp.matching.observed import Held, Observed, Promptwise
from interp.matching.observing import Half, Readout, Seen, fit_readout
from interp.matching.readouts import batch_size_for
from interp.matching.score_sums import Choice
from interp.matching.ties import fewest_best
from interp.models.protocol import HookedRegressor
from interp.solvers import AbstractSolver, search
from interp.tasks import PromptSource

SEARCH_PROMPTS, LEAST_SEARCH_PROMPTS = 64, 16
"""Most and fewest prompts that a hyperparameter search looks at; best steps are chosen on the whole selection half."""
SEARCH_NUMBERS = 64 * 32 * 10
"""Inputs that it looks at, coordinate by coordinate, where that takes no fewer than the fewest prompts."""
SEARCH_GRID = 28
"""Grid points of each of two hyperparameters."""
NOTHING_TO_EXPLAIN = 1e-6
"""Where a null predictor is this similar to a layer, the layer predicts what that predictor does."""


Advance = Callable[..., None]
"""Hears how many more prompts are done, as ``by``."""


@dataclass(frozen=True, kw_only=True)
class PipelineResult(Estimated):
    """What one pipeline fitted on the selection prompts and estimated on the others."""

    looked_at: Observed
    """The prompts that hyperparameters were fitted to."""
    selection: Observed | None
    """The first selection prompts that have induced weights, as many as were to be held; None for none."""
    solvers: list[AbstractSolver]
    """Of every family, with the hyperparameters fitted."""


@dataclass(frozen=True)
class Pipeline:
    """How a match is made; the same for the model and for its controls.

    Prompts are read ``batch_size`` at a time, and but for the first ``hold`` of each half sums alone are kept.
    """

    readout: str
    measures: Sequence[Promptwise]
    with_weights: bool
    """Whether induced weights are wanted."""
    weight_prompts: int
    """Most prompts of each half that induced weights are taken of; 0 for all."""
    families: Sequence[Family]
    first_column: int
    batch_size: int | None = None
    """None for the default of the model."""
    hold: int = 0
    """How many prompts of each half are kept as they were observed, for what takes many prompts at once."""

    def run(
        self,
        model: HookedRegressor,
        selection: PromptSource,
        estimation: PromptSource,
        *,
        mismatched: bool = False,
        with_details: bool = False,
        advance: Advance | None = None,
    ) -> PipelineResult:
        """Select on one set of prompts, estimate on the other; one run for each prompt-wise measure.

        Hyperparameters are fitted once, to the predictions, which fix a solver's scale; the best steps are each
        measure's own. ``mismatched`` pairs each prompt's hidden states with the targets and the data of another prompt.
        ``with_details`` finds what only the subject's own table says. ``advance`` hears of every batch, by its length.
        """
        first, second = (self._half(model, source, mismatched) for source in (selection, estimation))
        readout = fit_readout(first, self.readout)
        looked_at = first.first(_search_prompts(first.first(1, readout)), readout)
        solvers = [_best_solver(family, looked_at) for family in self.families]
        choices, selection_held = self._choose_steps(solvers, first, readout, advance)
        pairs = list(zip(self.families, solvers, strict=True))
        estimation_sums = Estimation(second, pairs, choices, hold=self.hold, with_details=with_details)
        for seen in second.seen(readout):
            estimation_sums.add(seen)
            _tell(advance, seen)
        found = estimation_sums.found()
        return PipelineResult(looked_at=looked_at, selection=selection_held, solvers=solvers, **vars(found))

    def _half(self, model: HookedRegressor, source: PromptSource, mismatched: bool) -> Half:
        count = min(self.weight_prompts or len(source), len(source) if "weights" in self.measures else self.hold)
        return Half(
            model=model,
            source=source,
            batch_size=batch_size_for(model, source, self.batch_size),
            first_column=self.first_column,
            n_weighed=count if self.with_weights else 0,
            mismatched=mismatched,
        )

    def _choose_steps(
        self, solvers: Sequence[AbstractSolver], half: Half, readout: Readout, advance: Advance | None
    ) -> tuple[dict[Promptwise, list[Choice]], Observed | None]:
        """Every family's best step for each layer, by the mean over the half, and the prompts to be held."""
        means: dict[Promptwise, list[Tensor]] = {}  # one tensor [layer step] for each family
        held = Held(self.hold)
        for seen in half.seen(readout):
            observed_for = {"errors": (seen.answers, len(half))}
            if seen.weighed is not None:
                held.add(seen.weighed)
                observed_for["weights"] = (seen.weighed, half.n_weighed)
            for measure in set(self.measures) & observed_for.keys():
                observed, n_prompts = observed_for[measure]
                found = [
                    observed.similarity(solver, family.steps, measure).sum(-1) / n_prompts
                    for family, solver in zip(self.families, solvers, strict=True)
                ]
                before = means.get(measure)
                means[measure] = found if before is None else [a + b for a, b in zip(before, found, strict=True)]
            _tell(advance, seen)
        choices = {
            measure: [
                Choice(family=family, solver=solver, best=fewest_best(mean.cpu().numpy(), family.steps).tolist())
                for family, solver, mean in zip(self.families, solvers, means[measure], strict=True)
            ]
            for measure in self.measures
        }
        return choices, held.joined()


def skill(similarity: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the way from the best null predictor's similarity to 1 an algorithm goes.

    1 for an exact match, 0 for one no better than knowing nothing; 0 too where the null predictor itself matches.
    Both arguments broadcast against each other.
    """
    room = 1 - null
    return np.where(room > NOTHING_TO_EXPLAIN, (similarity - null) / np.maximum(room, NOTHING_TO_EXPLAIN), 0.0)


def resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bootstrap means over the last axis, prompts: [... prompt] becomes [resample ...]."""
    return probes.resampled_means(np.moveaxis(values, -1, 0)).resampled


def _tell(advance: Advance | None, seen: Seen) -> None:
    if advance is not None:
        advance(by=len(seen.answers))


def _search_prompts(observed: Observed) -> int:
    per_prompt = observed.problems.targets.shape[1] * observed.problems.xs.shape[-1]
    return int(min(SEARCH_PROMPTS, max(LEAST_SEARCH_PROMPTS, SEARCH_NUMBERS // per_prompt)))


def _best_solver(family: Family, selection: Observed) -> AbstractSolver:
    """The template and hyperparameters, one set for all layers, of the highest mean skill at each layer's best step."""
    if family.fixed or family.is_null:
        return family.templates[0]
    null = selection.null_similarity().mean(-1).amax(0).cpu().numpy()

    def badness(solver: AbstractSolver) -> float:
        similarity = selection.similarity(solver, family.steps).mean(-1).nan_to_num(nan=-1.0)
        # Nothing is expected of a family where a null predictor does better: a layer that knows nothing, whose room
        # for skill is next to none, would otherwise outweigh all others.
        return -float(skill(similarity.amax(1).cpu().numpy(), null).clip(min=0).mean())

    scored = []
    for template in family.templates:
        space = template.search_space(selection.problems.spectrum)
        if not space:
            scored.append((badness(template), template))
            continue

        def objective(values: dict[str, float], template: AbstractSolver = template) -> float:
            return badness(replace(template, **values))

        found = search(objective, space, coarse=SEARCH_GRID)
        scored.append((found.objective, replace(template, **found.values)))
    return min(scored, key=lambda pair: pair[0])[1]
