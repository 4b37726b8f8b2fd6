"""The match table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from interp._progress import track
from interp.matching.convergence import steps_of_equal_error
from interp.matching.families import DEFAULT_FAMILIES, Family, make_family, with_nulls
from interp.matching.growth import GrowthLaw, growth_of_best_steps
from interp.matching.match_response import match_responses, prompts_to_hold
from interp.matching.observed import Measure, Promptwise
from interp.matching.pipeline import Pipeline, PipelineResult, skill
from interp.matching.readouts import (
    ask_many_queries,
    batch_size_for,
    check_dim,
    check_first_point,
    columns_of,
    default_readout,
)
from interp.matching.response import N_BINS
from interp.matching.score_sums import Fitted, PipelineRun, Residual
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor, require_regressor
from interp.solvers import AbstractSolver, Spectrum
from interp.tasks import PromptSource
from probes import ResampledMeans
from probes.intervals import percentiles

CONTROLS = ("random_init", "shuffled_targets")
READOUTS = ("auto", "native", "refitted")


def match_layers(
    model: HookedRegressor,
    prompts: PromptSource,
    solvers: Sequence[str | AbstractSolver | Family] = DEFAULT_FAMILIES,
    *,
    steps: Sequence[int] | None = None,
    measure: Measure = "errors",
    readout: Literal["auto", "native", "refitted"] = "auto",
    controls: Sequence[str] = CONTROLS,
    twins: Sequence[HookedRegressor] | None = None,
    n_queries: int = 32,
    first_point: int = 1,
    n_bins: int = N_BINS,
    weight_prompts: int = 0,
    seed: int = 0,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Compare every layer with the iterates of every solver; one row per (layer, solver, step).

    Hyperparameters that the caller leaves free, the best step of each layer and any readout are chosen on the first
    half of the prompts; every number is estimated on the second. Hyperparameters are one set for all layers, fitted to
    their predictions in either measure. The null predictors always compete.

    ``measure`` is the similarity of errors (cosine over columns of ``prediction - y``), of induced weights
    (sensitivities), or of spectral responses (see `similarity_of_responses`) in ``n_bins`` bins of eigenvalues. Induced
    weights, which take a backward pass for every layer, are those of at most ``weight_prompts`` prompts of each half
    (0: all). ``readout`` takes a layer's prediction from the model's own readout or from a refitted linear one;
    ``auto`` takes the native one where each layer holds its prediction in the coordinate the model reads. A model that
    predicts the query alone is asked ``n_queries`` per context. ``first_point=0`` adds the uninformed point, as Fu et
    al.'s code does. ``twins`` are the untrained models of the random_init control, by default three initialisations
    of ``model.untrained_twin``.

    Prompts are read ``batch_size`` at a time (by default `default_batch_size`) and sums alone are kept: of a
    `PromptStream` there may be any number. Responses alone take their prompts at once: unless ``weight_prompts`` says
    how many, as many of each half as `prompts_to_hold` does.

    Columns: layer (0 is the embedding), solver, step, similarity, ci_low, ci_high; r2, r2_low, r2_high between the
    solver's predictions and the layer's; skill, skill_low, skill_high (the similarity's gain over the best null
    predictor, as a share of the possible gain); best (the step chosen on the first half); hyperparameters, n_free;
    coincides (solvers whose best iterates give the same answers); and for each control c the columns c (its
    similarity), c_skill, c_skill_low, c_skill_high, each from the control's own best step.

    Raises ValueError for unknown solvers, measures, controls or readouts, a negative ``first_point``,
    ``weight_prompts`` that give no interval, too few prompts for the split (4, and 8 with a refitted
    readout), prompts of another dim than the model's, fewer than 2 columns, prompts without hidden weights where more
    queries are to be drawn, a batch size below 1, a model without ``decode`` for the native readout or without
    ``untrained_twin`` for that control.
    """
    return match_measures(
        model,
        prompts,
        solvers,
        steps=steps,
        measures=(measure,),
        readout=readout,
        controls=controls,
        twins=twins,
        n_queries=n_queries,
        first_point=first_point,
        n_bins=n_bins,
        weight_prompts=weight_prompts,
        seed=seed,
        batch_size=batch_size,
    ).tables[measure]


@dataclass(frozen=True)
class Matches:
    """What one match found, in each measure."""

    tables: dict[Measure, pd.DataFrame]
    """The tables of `match_layers`."""
    growth: pd.DataFrame
    """How the best step grows with the layer, one row per measure and solver with steps (see `GrowthLaw`), and for the
    measure ``error level`` how the steps do that err as much as the layer: measure,
    solver, law, layers, steps, per_layer, per_layer_low, per_layer_high, factor, factor_low, factor_high,
    aic_difference, aic_difference_low, aic_difference_high, reason, and for errors and induced weights one column per
    control: in what share of its runs a law is decided too."""
    responses: pd.DataFrame
    """The spectral responses of layers and of their best iterates (see `ResponseMatch`), where that measure was asked
    for; else empty."""
    convergence: pd.DataFrame
    """The steps of every solver that err as much as each layer does: solver, and the columns of `equal_error_steps`."""


def match_measures(
    model: HookedRegressor,
    prompts: PromptSource,
    solvers: Sequence[str | AbstractSolver | Family] = DEFAULT_FAMILIES,
    *,
    steps: Sequence[int] | None = None,
    measures: Sequence[Measure] = ("errors", "weights"),
    readout: Literal["auto", "native", "refitted"] = "auto",
    controls: Sequence[str] = CONTROLS,
    twins: Sequence[HookedRegressor] | None = None,
    n_queries: int = 32,
    first_point: int = 1,
    n_bins: int = N_BINS,
    weight_prompts: int = 0,
    seed: int = 0,
    batch_size: int | None = None,
) -> Matches:
    """Matches in several measures, from one fit of the hyperparameters. Arguments and errors as of `match_layers`."""
    _check(model, prompts, controls=controls, readout=readout, measures=measures)
    check_first_point(first_point)
    if weight_prompts < 0 or weight_prompts == 1:
        raise ValueError(
            f"`weight_prompts` needs 0 (for all) or at least 2 prompts of each half, got {weight_prompts}: an interval "
            "takes two."
        )
    asked = ask_many_queries(model, prompts, n_queries, seed)
    points = columns_of(model, asked)
    first_column = 0 if points is None else first_point
    n_columns = (asked.n_queries if points is None else len(points)) - first_column
    if n_columns < 2:
        raise ValueError(
            f"A cosine of errors over {n_columns} column(s) is only a sign; ask more queries (n_queries) or use longer "
            "prompts."
        )
    selection, estimation = asked.halves()
    families = [make_family(solver, many_prefixes=points is not None, steps=steps) for solver in solvers]
    promptwise: list[Promptwise] = [measure for measure in measures if measure != "response"]
    pipeline = Pipeline(
        readout=default_readout(model) if readout == "auto" else readout,
        measures=promptwise,
        with_weights="weights" in measures or "response" in measures,
        weight_prompts=weight_prompts,
        families=with_nulls(families),
        first_column=first_column,
        batch_size=None if batch_size is None else batch_size_for(model, asked, batch_size),
        hold=prompts_to_hold(model, asked, weight_prompts) if "response" in measures else 0,
    )
    untrained = make_twins(model, twins) if "random_init" in controls else []
    n_runs = 1 + len(untrained) + ("shuffled_targets" in controls)
    with track("match", total=n_runs * len(asked)) as tracker:
        run = partial(pipeline.run, selection=selection, estimation=estimation)
        subject = run(model, with_details=True, advance=partial(tracker.advance, "the model"))
        control_runs: dict[str, list[PipelineResult]] = {}
        if untrained:
            advance = partial(tracker.advance, "an untrained twin")
            control_runs["random_init"] = [run(twin, advance=advance) for twin in untrained]
        if "shuffled_targets" in controls:
            advance = partial(tracker.advance, "shuffled targets")
            control_runs["shuffled_targets"] = [run(model, mismatched=True, advance=advance)]
    tables: dict[Measure, pd.DataFrame] = {}
    laws: list[dict[str, Any]] = []
    curves = pd.DataFrame()
    for measure in measures:
        if measure == "response":
            found = match_responses(subject, control_runs, pipeline.families, n_bins=n_bins)
            tables[measure], curves = found.table, found.curves
            laws += _law_rows(measure, found.growth)
            continue
        run_of = subject.runs[measure]
        controls_of = {name: [result.runs[measure] for result in results] for name, results in control_runs.items()}
        tables[measure] = _table(run_of, controls_of, subject.looked_at.problems.spectrum)
        laws += _law_rows(measure, growth_laws(run_of), controls_of)
    convergence, laws_of = _convergence(subject, pipeline.families)
    laws += _law_rows("error level", laws_of)
    return Matches(tables=tables, growth=pd.DataFrame(laws), responses=curves, convergence=convergence)


def _check(
    model: HookedRegressor,
    prompts: PromptSource,
    *,
    controls: Sequence[str],
    readout: str,
    measures: Sequence[str],
) -> None:
    require_regressor(model)
    unknown = sorted(set(measures) - set(get_args(Measure)))
    if unknown:
        raise ValueError(f"Unknown measure(s) {', '.join(unknown)}; known are {', '.join(get_args(Measure))}.")
    if readout not in READOUTS:
        raise ValueError(f"Unknown readout {readout!r}; known are {', '.join(READOUTS)}.")
    unknown = sorted(set(controls) - set(CONTROLS))
    if unknown:
        raise ValueError(f"Unknown control(s) {', '.join(unknown)}; known are {', '.join(CONTROLS)}.")
    check_dim(model, prompts)


def _law_rows(
    measure: str, laws: Mapping[str, GrowthLaw], controls: Mapping[str, Sequence[PipelineRun]] | None = None
) -> list[dict[str, Any]]:
    """Rows of the growth table; with controls, in what share of each one's runs a law is decided too."""
    of_controls = {name: [growth_laws(run) for run in runs] for name, runs in (controls or {}).items()}
    return [
        {
            "measure": measure,
            "solver": solver,
            **law.to_row(),
            **{
                name: float(np.mean([found[solver].law != "undecided" for found in runs]))
                for name, runs in of_controls.items()
            },
        }
        for solver, law in laws.items()
    ]


def growth_laws(run: PipelineRun) -> dict[str, GrowthLaw]:
    """How the best steps of every family with steps to choose from grow with the layer, in a run of the pipeline."""
    best_null = run.null.resampled.max(axis=1)[..., None]  # [resample layer 1]
    laws = {}
    for fitted in run.fitted:
        if len(fitted.family.steps) > 1:
            resampled = fitted.similarity.resampled
            low, _ = percentiles(skill(resampled, best_null))
            laws[fitted.family.name] = growth_of_best_steps(fitted.family.steps, fitted.similarity.mean, resampled, low)
    return laws


def _convergence(subject: PipelineResult, families: Sequence[Family]) -> tuple[pd.DataFrame, dict[str, GrowthLaw]]:
    """Equal-error steps of every family with steps, where the examples determine the answer if some columns do."""
    assert subject.layer_errors is not None
    tables, laws = [], {}
    for family, errors in zip(families, subject.solver_errors, strict=True):
        if len(family.steps) > 1:
            table, laws[family.name] = steps_of_equal_error(subject.layer_errors, errors, family.steps)
            tables.append(table.assign(solver=family.name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(), laws


def _table(subject: PipelineRun, controls: dict[str, list[PipelineRun]], spectrum: Spectrum) -> pd.DataFrame:
    assert subject.details is not None
    rows: list[dict[str, Any]] = []
    for index, fitted in enumerate(subject.fitted):
        columns = _score_columns(fitted, subject)
        control_columns = _control_columns(index, controls)
        n_free = sum(len(t.search_space(spectrum)) for t in fitted.family.templates[:1])
        for layer, best in enumerate(fitted.best):
            for i, step in enumerate(fitted.family.steps):
                rows.append(
                    {
                        "layer": layer,
                        "solver": fitted.family.name,
                        "step": step,
                        **{name: float(values[layer, i]) for name, values in columns.items()},
                        "best": i == best,
                        "hyperparameters": fitted.solver.describe(),
                        "n_free": 0 if fitted.family.fixed else n_free,
                        "coincides": ",".join(subject.details.coincide[index, layer]) if i == best else "",
                        **{name: float(values[layer]) for name, values in control_columns.items()},
                    }
                )
    return pd.DataFrame(rows).sort_values(["layer"], kind="stable", ignore_index=True)


def _score_columns(fitted: Fitted, run: PipelineRun) -> dict[str, np.ndarray]:
    """Columns of one family, each [layer step]."""
    resampled = fitted.similarity.resampled  # [resample layer step]
    low, high = percentiles(resampled)
    best_null = run.null.resampled.max(axis=1)[..., None]  # [resample layer 1]
    skill_low, skill_high = percentiles(skill(resampled, best_null))
    null = run.null.mean.max(axis=0)[:, None]
    assert fitted.residual is not None and run.details is not None
    r2, r2_low, r2_high = _r2(fitted.residual, run.details.spread)
    similarity = fitted.similarity.mean
    return {
        "similarity": similarity,
        "ci_low": low,
        "ci_high": high,
        "r2": r2,
        "r2_low": r2_low,
        "r2_high": r2_high,
        "skill": skill(similarity, null),
        "skill_low": skill_low,
        "skill_high": skill_high,
    }


def _r2(residual: Residual, spread: ResampledMeans) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R2 with its interval, each [layer step]; NaN for constant answers of a layer and for iterates that diverged."""
    varies = spread.mean[:, None] > 0
    usable = varies & residual.finite
    estimate = 1 - residual.squares.mean / np.where(varies, spread.mean[:, None], 1.0)
    low, high = percentiles(1 - residual.squares.resampled / np.where(varies, spread.resampled[..., None], 1.0))
    return np.where(usable, estimate, np.nan), np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def _control_columns(family: int, controls: dict[str, list[PipelineRun]]) -> dict[str, np.ndarray]:
    """Columns of one family's controls, each [layer]: means over the runs, and their intervals' highest ends."""
    columns = {}
    for name, runs in controls.items():
        scores = [_best_scores(run.fitted[family], run) for run in runs]  # [run] of (similarity, skill, low, high)
        similarity, estimate, low, high = (np.stack(part) for part in zip(*scores, strict=True))
        columns[name] = similarity.mean(0)
        columns[f"{name}_skill"] = estimate.mean(0)
        columns[f"{name}_skill_low"] = low.max(0)
        columns[f"{name}_skill_high"] = high.max(0)
    return columns


def _best_scores(fitted: Fitted, run: PipelineRun) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Similarity and skill (with its interval) of each layer at its own best step."""
    at_best = fitted.similarity[np.arange(len(fitted.best)), fitted.best]  # [layer]
    null = run.null.mean.max(axis=0)
    low, high = percentiles(skill(at_best.resampled, run.null.resampled.max(axis=1)))
    return at_best.mean, skill(at_best.mean, null), low, high
