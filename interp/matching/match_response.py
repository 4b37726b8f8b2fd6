"""The match table of spectral responses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching.coincidences import Coincidences
from interp.matching.families import Family
from interp.matching.growth import GrowthLaw, growth_of_best_steps
from interp.matching.observed import Observed
from interp.matching.pipeline import PipelineResult, skill
from interp.matching.readouts import columns_of
from interp.matching.response import EigenvalueBins, ResponseSums, response_table, similarity_of_responses
from interp.matching.score_sums import Choice
from interp.matching.ties import fewest_best
from interp.models.protocol import HookedRegressor
from interp.solvers import NULL_SOLVERS, AbstractSolver
from interp.tasks import PromptSource
from probes.intervals import percentiles

THE_MODEL = "the model"
"""What the layers are called in a table of responses."""

BOUND = 3.0
"""Where an iterate's share of the solution in one direction is cut, up and down: beyond, it has diverged."""

HELD_NUMBERS = 2**24
"""Numbers that the eigenvectors and weights of the prompts of one half may be: 128 megabytes."""
LEAST_HELD, MOST_HELD = 512, 4096
"""Prompts of each half that are held even so, and most that are."""

Grid = Float[NDArray[np.float64], "layer step"]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lower and upper ends of intervals."""


@dataclass(frozen=True)
class ResponseMatch:
    """What the spectral responses of a model's layers say."""

    table: pd.DataFrame
    """As of `match_layers`, with the similarity of responses as similarity and, as r2, the share of the layer's squared
    response that the iterate's accounts for."""
    growth: dict[str, GrowthLaw]
    """Of every solver with steps to choose from."""
    curves: pd.DataFrame
    """The responses themselves, as of `response_table`, of the layers (solver ``the model``) and of every solver's best
    iterate for each of them; columns solver and step beside those."""


@dataclass(frozen=True)
class _Scores:
    """One family against all layers on one set of prompts, estimates and bootstrap resamples."""

    similarity: Grid
    resampled: Float[NDArray[np.float64], "resample layer step"]
    r2: Grid
    resampled_r2: Float[NDArray[np.float64], "resample layer step"]


@dataclass(frozen=True)
class _Run:
    """What the responses of one model, or of one control, say of every family."""

    choices: list[Choice]
    scores: list[_Scores]

    def null(self) -> tuple[Float[NDArray[np.float64], " layer"], Float[NDArray[np.float64], "resample layer"]]:
        """Similarity with the better of the null predictors, which respond to nothing."""
        nulls = [s for c, s in zip(self.choices, self.scores, strict=True) if c.family.name in NULL_SOLVERS]
        estimate = np.max([scores.similarity[:, 0] for scores in nulls], axis=0)
        return estimate, np.max([scores.resampled[:, :, 0] for scores in nulls], axis=0)


def prompts_to_hold(model: HookedRegressor, prompts: PromptSource, weight_prompts: int) -> int:
    """How many prompts of each half the responses are taken of: ``weight_prompts``, or for 0 as many as memory allows.

    Unlike the other measures a response takes many prompts at once, which are therefore held: as many as have
    `HELD_NUMBERS` numbers, but at least `LEAST_HELD` and at most `MOST_HELD`.
    """
    n_prefixes = len(columns_of(model, prompts) or [0])
    per_prompt = n_prefixes * prompts.dim**2 + prompts.n_queries * prompts.dim
    return weight_prompts or min(MOST_HELD, max(LEAST_HELD, HELD_NUMBERS // per_prompt))


def match_responses(
    subject: PipelineResult,
    controls: Mapping[str, Sequence[PipelineResult]],
    families: Sequence[Family],
    *,
    n_bins: int,
) -> ResponseMatch:
    """Compare the spectral response of every layer with those of every solver's iterates, estimated alike.

    Bins are made on the selection prompts, where the best steps are chosen too; hyperparameters are those of the other
    measures. Intervals of the model's similarities are centred on the estimates: a resample carries the sampling noise
    of a response twice, and noise only takes similarity away where there is some.
    """
    assert subject.selection is not None and subject.estimation is not None
    bins = EigenvalueBins.of(subject.selection.problems.spectrum, n_bins)
    run = _run(subject, families, bins)
    control_runs = {name: [_run(result, families, bins) for result in results] for name, results in controls.items()}
    same = _coincidences(run.choices, subject.estimation)
    null, resampled_null = run.null()
    rows: list[dict[str, Any]] = []
    for index, (choice, scores) in enumerate(zip(run.choices, run.scores, strict=True)):
        columns = _columns(scores, null, resampled_null)
        control_columns = _control_columns(index, control_runs)
        n_free = len(choice.family.templates[0].search_space(subject.estimation.problems.spectrum))
        for layer, best in enumerate(choice.best):
            for i, step in enumerate(choice.family.steps):
                rows.append(
                    {
                        "layer": layer,
                        "solver": choice.family.name,
                        "step": step,
                        **{name: float(values[layer, i]) for name, values in columns.items()},
                        "best": i == best,
                        "hyperparameters": choice.solver.describe(),
                        "n_free": 0 if choice.family.fixed else n_free,
                        "coincides": ",".join(same[index, layer]) if i == best else "",
                        **{name: float(values[layer]) for name, values in control_columns.items()},
                    }
                )
    table = pd.DataFrame(rows).sort_values(["layer"], kind="stable", ignore_index=True)
    return ResponseMatch(table=table, growth=_growth(run), curves=_curves(run, subject.estimation, bins))


def _coincidences(choices: Sequence[Choice], observed: Observed) -> dict[tuple[int, int], list[str]]:
    same = Coincidences([choice.family.name for choice in choices], len(choices[0].best))
    iterates = [choice.solver.predict(observed.problems, choice.family.steps)[choice.best] for choice in choices]
    same.add([observed.kept(predictions) for predictions in iterates])
    return same.found()


def _run(result: PipelineResult, families: Sequence[Family], bins: EigenvalueBins) -> _Run:
    assert result.selection is not None and result.estimation is not None
    selection, estimation = (_layers(observed, bins) for observed in (result.selection, result.estimation))
    choices, scores = [], []
    for family, solver in zip(families, result.solvers, strict=True):
        there = _iterates(solver, family, result.selection, bins).responses()
        chosen = similarity_of_responses(_finite(selection.responses())[:, None], _finite(there)[None])  # [layer step]
        choices.append(Choice(family=family, solver=solver, best=fewest_best(chosen, family.steps).tolist()))
        scores.append(_score(estimation, _iterates(solver, family, result.estimation, bins)))
    return _Run(choices=choices, scores=scores)


def _growth(run: _Run) -> dict[str, GrowthLaw]:
    null, resampled_null = run.null()
    laws = {}
    for choice, scores in zip(run.choices, run.scores, strict=True):
        if len(choice.family.steps) > 1:
            low = _columns(scores, null, resampled_null)["skill_low"]
            laws[choice.family.name] = growth_of_best_steps(
                choice.family.steps, scores.similarity, scores.resampled, low
            )
    return laws


def _curves(run: _Run, observed: Observed, bins: EigenvalueBins) -> pd.DataFrame:
    """The responses of the layers, and of every family's best iterate for each layer, on the same problems."""
    problems = observed.problems
    tables = [response_table(observed.weights_by_prefix, problems, bins).assign(solver=THE_MODEL, step=0)]
    for choice in run.choices:
        if choice.family.name not in NULL_SOLVERS:
            steps = [choice.family.steps[best] for best in choice.best]
            weights = choice.solver.trace(problems, steps).weights
            table = response_table(weights, problems, bins, BOUND)
            tables.append(table.assign(solver=choice.family.name, step=table["layer"].map(dict(enumerate(steps)))))
    return pd.concat(tables, ignore_index=True)


def _score(layers: ResponseSums, iterates: ResponseSums) -> _Scores:
    ours, theirs = _finite(layers.responses()), _finite(iterates.responses())
    drawn, drawn_theirs = _finite(layers.resampled()), _finite(iterates.resampled())
    resampled = similarity_of_responses(drawn[:, :, None], drawn_theirs[:, None])
    return _Scores(
        similarity=similarity_of_responses(ours[:, None], theirs[None]),
        resampled=resampled,
        r2=_r2(ours[:, None], theirs[None]),
        resampled_r2=_r2(drawn[:, :, None], drawn_theirs[:, None]),
    )


def _r2(layers: NDArray[np.float64], iterates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a layer's squared response that an iterate accounts for; NaN for a layer that responds to nothing."""
    total = np.broadcast_to((layers**2).sum(-1), np.broadcast_shapes(layers.shape[:-1], iterates.shape[:-1]))
    left = ((layers - iterates) ** 2).sum(-1)
    return np.where(total > 0, 1 - left / np.where(total > 0, total, 1.0), np.nan)


def _layers(observed: Observed, bins: EigenvalueBins) -> ResponseSums:
    return ResponseSums.of(observed.weights_by_prefix, observed.problems, bins)


def _iterates(solver: AbstractSolver, family: Family, observed: Observed, bins: EigenvalueBins) -> ResponseSums:
    return ResponseSums.of(solver.trace(observed.problems, family.steps).weights, observed.problems, bins, BOUND)


def _finite(responses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Empty cells count for nothing."""
    return np.nan_to_num(responses, nan=0.0)


def _centred(estimate: NDArray[np.float64], resampled: NDArray[np.float64]) -> Ends:
    """Percentile interval of resamples that are moved so that their mean is the estimate; never above 1."""
    low, high = percentiles(resampled - (resampled.mean(axis=0) - estimate))
    return np.minimum(low, 1.0), np.minimum(high, 1.0)


def _plain(estimate: NDArray[np.float64], resampled: NDArray[np.float64]) -> Ends:
    """Percentile interval of resamples as they are, widened to hold the estimate.

    For controls: between two responses that are nothing but noise, more of it raises a similarity as often as not.
    """
    low, high = percentiles(resampled)
    return np.minimum(low, estimate), np.maximum(high, estimate)


def _columns(
    scores: _Scores,
    null: NDArray[np.float64],
    resampled_null: NDArray[np.float64],
    interval: Callable[[NDArray[np.float64], NDArray[np.float64]], Ends] = _centred,
) -> dict[str, NDArray[np.float64]]:
    own_skill = skill(scores.similarity, null[:, None])
    low, high = interval(scores.similarity, scores.resampled)
    skill_low, skill_high = interval(own_skill, skill(scores.resampled, resampled_null[..., None]))
    r2_low, r2_high = interval(scores.r2, scores.resampled_r2)
    return {
        "similarity": scores.similarity,
        "ci_low": low,
        "ci_high": high,
        "r2": scores.r2,
        "r2_low": r2_low,
        "r2_high": r2_high,
        "skill": own_skill,
        "skill_low": skill_low,
        "skill_high": skill_high,
    }


def _control_columns(family: int, controls: Mapping[str, Sequence[_Run]]) -> dict[str, NDArray[np.float64]]:
    """Columns of one family's controls, each [layer]: means over the runs, and their intervals' highest ends."""
    columns = {}
    for name, runs in controls.items():
        found = [_at_best(run, family) for run in runs]
        columns[name] = np.mean([part["similarity"] for part in found], axis=0)
        columns[f"{name}_skill"] = np.mean([part["skill"] for part in found], axis=0)
        columns[f"{name}_skill_low"] = np.max([part["skill_low"] for part in found], axis=0)
        columns[f"{name}_skill_high"] = np.max([part["skill_high"] for part in found], axis=0)
    return columns


def _at_best(run: _Run, family: int) -> dict[str, NDArray[np.float64]]:
    """A control's own columns at its own best steps."""
    columns = _columns(run.scores[family], *run.null(), interval=_plain)
    best = run.choices[family].best
    return {name: values[np.arange(len(best)), best] for name, values in columns.items()}
