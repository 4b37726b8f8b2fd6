"""From a model and prompts to the iterates that fit its layers best: one run for the subject, one for each control."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from interp.matching.families import Family
from interp.matching.induced import Decoder, native_decoder, sensitivities
from interp.matching.observed import Observed, Promptwise
from interp.matching.readouts import layer_states, native_predictions, problems_of
from interp.models.protocol import HookedRegressor
from interp.solvers import AbstractSolver, search
from interp.tasks import Prompts
from probes import LinearProbes, fit_on_prompts, resampling_weights

SEARCH_PROMPTS, LEAST_SEARCH_PROMPTS = 64, 16
"""Most and fewest prompts that a hyperparameter search looks at; best steps are chosen on the whole selection half."""
SEARCH_NUMBERS = 64 * 32 * 10
"""Inputs that it looks at, coordinate by coordinate, where that takes no fewer than the fewest prompts."""
SEARCH_GRID = 28
"""Grid points of each of two hyperparameters."""
NOTHING_TO_EXPLAIN = 1e-6
"""Where a null predictor is this similar to a layer, the layer predicts what that predictor does."""


@dataclass(frozen=True)
class Choice:
    """A family with its hyperparameters and best steps, chosen on the selection prompts."""

    family: Family
    solver: AbstractSolver
    best: list[int]
    """Index of the best step for each layer, in one measure."""


@dataclass(frozen=True)
class Fitted(Choice):
    """A choice, scored on the estimation prompts."""

    similarity: NDArray[np.float64]  # [layer step prompt]


@dataclass(frozen=True)
class PipelineRun:
    """Everything that one pipeline found in one measure."""

    fitted: list[Fitted]
    null: NDArray[np.float64]  # [null layer prompt]
    estimation: Observed


@dataclass(frozen=True)
class PipelineResult:
    """What one pipeline observed and fitted, and its runs, one for each prompt-wise measure."""

    selection: Observed
    """The prompts of either half that have induced weights, where those were wanted."""
    estimation: Observed
    answers: Observed
    """The estimation prompts in full."""
    solvers: list[AbstractSolver]
    """Of every family, with the hyperparameters fitted."""
    runs: dict[Promptwise, PipelineRun]


@dataclass(frozen=True)
class Pipeline:
    """How a match is made; the same for the model and for its controls."""

    readout: str
    measures: Sequence[Promptwise]
    with_weights: bool
    """Whether induced weights are wanted."""
    weight_prompts: int
    """Most prompts of each half that induced weights are taken of; 0 for all."""
    families: Sequence[Family]
    first_column: int

    def run(
        self, model: HookedRegressor, selection: Prompts, estimation: Prompts, *, mismatched: bool = False
    ) -> PipelineResult:
        """Select on one set of prompts, estimate on the other; one run for each prompt-wise measure.

        Hyperparameters are fitted once, to the predictions, which fix a solver's scale; the best steps are each
        measure's own. ``mismatched`` pairs each prompt's hidden states with the targets and the data of another prompt.
        """
        halves, with_weights = _observe(self, model, selection, estimation, mismatched)
        looked_at = halves[0].first_prompts(_search_prompts(halves[0]))
        solvers = [_best_solver(family, looked_at) for family in self.families]
        runs = {
            measure: self._match(measure, solvers, *(with_weights if measure == "weights" else halves))
            for measure in self.measures
        }
        return PipelineResult(
            selection=with_weights[0], estimation=with_weights[1], answers=halves[1], solvers=solvers, runs=runs
        )

    def _match(
        self, measure: Promptwise, solvers: Sequence[AbstractSolver], selection: Observed, estimation: Observed
    ) -> PipelineRun:
        return PipelineRun(
            fitted=[
                _choose_steps(family, solver, selection, estimation, measure)
                for family, solver in zip(self.families, solvers, strict=True)
            ],
            null=estimation.null_similarity(measure).cpu().numpy(),
            estimation=estimation,
        )


def skill(similarity: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the way from the best null predictor's similarity to 1 an algorithm goes.

    1 for an exact match, 0 for one no better than knowing nothing; 0 too where the null predictor itself matches.
    Both arguments broadcast against each other.
    """
    room = 1 - null
    return np.where(room > NOTHING_TO_EXPLAIN, (similarity - null) / np.maximum(room, NOTHING_TO_EXPLAIN), 0.0)


def resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bootstrap means over the last axis, prompts: [... prompt] becomes [resample ...]."""
    weights = resampling_weights(values.shape[-1])
    return np.moveaxis(values @ weights.T, -1, 0)


def _observe(
    pipeline: Pipeline, model: HookedRegressor, selection: Prompts, estimation: Prompts, mismatched: bool
) -> tuple[tuple[Observed, Observed], tuple[Observed, Observed]]:
    """Either half, in full and with induced weights, which may be those of its first prompts alone."""
    halves = (selection, estimation)
    asked = [prompts[torch.arange(len(prompts)).roll(1)] if mismatched else prompts for prompts in halves]
    problems = [problems_of(model, prompts) for prompts in asked]
    states = [layer_states(model, prompts) for prompts in halves]
    if pipeline.readout == "native":
        predictions = [native_predictions(model, state) for state in states]
        decoder = native_decoder(model)
    else:
        kept = slice(pipeline.first_column, None)
        probes = fit_on_prompts(states[0][:, :, kept], problems[0].targets[:, kept, None].to(states[0].device))
        predictions = [probes(state)[..., 0] for state in states]
        decoder = _probe_decoder(probes)
    ours, other = (
        Observed(predictions=values.to(problem.targets), problems=problem, first_column=pipeline.first_column)
        for values, problem in zip(predictions, problems, strict=True)
    )
    if not pipeline.with_weights:
        return (ours, other), (ours, other)
    count = pipeline.weight_prompts or len(selection) + len(estimation)
    first, second = (
        replace(
            observed.first_prompts(count),
            weights=sensitivities(model, prompts[:count], decoder).to(observed.problems.targets),
        )
        for observed, prompts in zip((ours, other), halves, strict=True)
    )
    return (ours, other), (first, second)


def _probe_decoder(probes: LinearProbes) -> Decoder:
    return lambda layer, resid: probes.read(layer, resid)[..., 0]


def _choose_steps(
    family: Family, solver: AbstractSolver, selection: Observed, estimation: Observed, measure: Promptwise
) -> Fitted:
    chosen = selection.similarity(solver, family.steps, measure).mean(-1)
    return Fitted(
        family=family,
        solver=solver,
        best=chosen.nan_to_num(nan=-2.0).argmax(dim=1).tolist(),
        similarity=estimation.similarity(solver, family.steps, measure).cpu().numpy(),
    )


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
