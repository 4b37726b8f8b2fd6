"""Which algorithm each layer runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from interp._seeds import derive_seed
from interp.matching import LayerVerdict, align, effective_steps, judge_layers, match_measures, sensitivities
from interp.matching.circuits import is_linear_on_pairs
from interp.matching.descents import best_descents, read_off, written_out
from interp.matching.families import DEFAULT_FAMILIES
from interp.matching.observed import Measure
from interp.matching.readouts import problems_of
from interp.matching.twins import N_TWINS, make_twins
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.report.chapter import Chapter, Part, count_of, judge_range
from interp.report.document import Figure, Section
from interp.report.effort import affordable_prompts
from interp.report.figures import draw_match
from interp.report.finding import Finding
from interp.report.of_layer import layer_finding
from interp.report.render import show, to_svg
from interp.report.response import write_growth, write_responses
from interp.report.shifts import write_regression_shifts, write_shifts
from interp.report.weights import write_weights
from interp.solvers import AbstractSolver
from interp.tasks import LinearRegression, Prompts
from probes import bootstrap_ratio, resampling_weights
from probes.intervals import percentiles

MEASURES: tuple[Measure, ...] = ("errors", "weights", "response")
LEAST_WEIGHT_PROMPTS = 32
"""Fewest prompts of each half that induced weights are taken of."""
STEP_PROMPTS = 16384
STEP_TOLERANCE = 0.02
"""How far a step size may be from the best one for the two to count as equal."""


def write_algorithm(
    model: HookedRegressor, prompts: Prompts, seed: int, solvers: Sequence[str] = DEFAULT_FAMILIES
) -> Chapter:
    """Match layers to solvers by errors, induced weights and spectral responses.

    For GD-like weights, read the step size as well.
    """
    # A backward pass from every layer, for the model, its twins and the shuffled targets, in either half.
    passes = 2 * (2 + N_TWINS) * (model.cfg.n_layers + 1)
    weight_prompts = affordable_prompts(model, prompts, passes, least=LEAST_WEIGHT_PROMPTS, most=len(prompts))
    matches = match_measures(model, prompts, solvers, measures=MEASURES, weight_prompts=weight_prompts, seed=seed)
    errors, weights = matches.tables["errors"], matches.tables["weights"]
    by_errors, by_weights = judge_layers(errors), judge_layers(weights)
    findings = [_layer_finding(verdict, "errors") for verdict in by_errors]
    findings += [_layer_finding(verdict, "weights") for verdict in by_weights]
    named = {"match_errors": errors, "match_weights": weights}
    shown: tuple[str, ...] = ()
    parts: tuple[Part, ...] = (write_responses(matches, prompts.dim), write_growth(matches))
    if is_linear_on_pairs(model):
        named["effective_steps"] = pd.DataFrame([vars(step) for step in effective_steps(model)])
        shown = ("effective_steps",)
        runs_gd = all(verdict.solver == "gd" and verdict.verdict == "supported" for verdict in by_errors)
        parts += hold_against_descents(model, prompts, seed, runs_gd=runs_gd)
    elif isinstance(model.task, LinearRegression) and model.task.inputs == "gaussian":
        parts += (write_regression_shifts(model, seed),)
    for part in parts:
        findings += part.findings
        named |= part.tables
    if "growth" in named and named["growth"]["factor"].notna().any():  # few layers follow no law
        shown = (*shown, "growth")
    if "convergence" in named:
        shown = (*shown, "convergence")
    return Chapter(
        section=Section(
            title="Which algorithm it runs",
            introduction="Every layer's predictions against the iterates of every candidate; zero and mean know "
            "nothing and compete with the rest.",
            figures=(
                _figure("errors", errors, "Cosine of the errors of each layer and of each solver step"),
                _figure("weights", weights, "Cosine of the induced weights (d prediction / d query)"),
                *(figure for part in parts for figure in part.figures),
            ),
            tables=shown,
        ),
        findings=tuple(findings),
        tables=named,
    )


def _figure(measure: str, table: pd.DataFrame, what: str) -> Figure:
    return Figure(
        title=f"Similarity of {measure}: layer by solver step",
        caption=f"{what}, averaged over the estimation prompts; 1 (yellow) is the same direction, 0 and below is "
        "darkest. Boxed: the step chosen for the layer on the selection prompts, after one set of hyperparameters was "
        "fitted for all layers. A layer that the zero predictor matches as well tells nothing. Blank cells are steps "
        "at which the solver diverged.",
        svg=to_svg(draw_match(table)),
        table=f"match_{measure}",
    )


def _layer_finding(verdict: LayerVerdict, measure: str) -> Finding:
    errors = measure == "errors"
    skills = ", ".join(show(value) for value in verdict.control_skills.values()) or "unknown"
    return layer_finding(
        verdict,
        suffix="" if errors else ".weights",
        what="predicts as" if errors else "weighs the query as",
        statistic=f"similarity_of_{'errors' if errors else 'induced_weights'}",
        reason=f"Its skill is {show(verdict.skill)}, that of the controls {skills}",
        details={
            "skill (share of the way from the best null predictor to 1)": verdict.skill,
            "skill interval": verdict.skill_ci,
            "skill of the controls": verdict.control_skills,
            "r2 of predictions": verdict.r2,
        },
    )


def hold_against_descents(
    model: RegressionTransformer, prompts: Prompts, seed: int, *, runs_gd: bool
) -> tuple[Part, ...]:
    """The weights and the errors out of distribution of linear attention on (x, y), beside those of GD or GD++.

    The algorithm is tuned GD for one layer and for models of which ``runs_gd`` says that every layer follows it, tuned
    GD++ for looped layers, and for layers of their own GD++ with the steps read off their weights.
    """
    tuned = best_descents(model, prompts)
    parts = [Part(findings=_gd_findings(model, prompts, tuned["gd"].solver, seed))] if runs_gd else []
    if model.cfg.n_heads == 1 and model.cfg.damping == 1:
        family = "gd" if runs_gd or model.cfg.n_layers == 1 else "gd++"
        best, own = written_out(tuned[family], model, prompts), read_off(model)
        # Layers of their own have steps of their own, and the weights say which.
        has_own_steps = family == "gd++" and not model.cfg.looped
        parts.append(write_weights(model, prompts, (best, own), own if has_own_steps else best))
        if isinstance(model.task, LinearRegression):
            parts.append(write_shifts(model, family, own if has_own_steps else None, seed))
    return tuple(parts)


def _gd_findings(
    model: RegressionTransformer, prompts: Prompts, best: AbstractSolver, seed: int
) -> tuple[Finding, ...]:
    """Alignment in the sense of von Oswald et al., and the step size of one-layer models."""
    alignment = _alignment_finding(model, prompts, best, model.cfg.n_layers)
    return (alignment, _step_size_finding(model, seed)) if model.cfg.n_layers == 1 else (alignment,)


def _alignment_finding(model: RegressionTransformer, prompts: Prompts, solver: Any, steps: int) -> Finding:
    alignment = align(model, solver, prompts, steps)
    twins = [align(twin, solver, prompts, steps).cosine.estimate for twin in make_twins(model)]
    cosine = alignment.cosine
    return Finding(
        id="algorithm.alignment",
        claim=f"Its answers depend on the query as those of the best {count_of(steps, 'step')} of gradient descent do",
        statistic="cosine_of_sensitivities",
        estimate=cosine.estimate,
        ci=(cosine.low, cosine.high),
        controls={"random_init": float(np.mean(twins)), "random_init (highest)": max(twins)},
        verdict="supported" if cosine.low > max(0.9, *twins) else "refuted" if cosine.high < 0.9 else "inconclusive",
        reason="alignment with GD tuned for the lowest loss, not to the model (von Oswald et al. 2022, section 3)",
        details={
            "l2 of sensitivities": alignment.l2.estimate,
            "mean absolute prediction difference": alignment.prediction_difference.estimate,
            "gd": solver.describe(),
        },
    )


def _step_size_finding(model: RegressionTransformer, seed: int) -> Finding:
    """The slope of the induced weights on X^T y is eta/n; that of y on the one-step direction is the best eta/n.

    Both are ratios of sums over the same fresh prompts, many of them, since the best step varies from sample to sample.
    """
    prompts = model.task.sample(STEP_PROMPTS, seed=derive_seed(seed, "step size"), n_queries=4)
    problems = problems_of(model, prompts)
    moment = problems.sums()[1][:, 0]  # [prompt dim]
    one_step = torch.einsum("pqd,pd->pq", problems.queries[:, 0], moment)

    def slope(subject: Any) -> tuple[np.ndarray, np.ndarray]:
        induced = sensitivities(subject, prompts)[-1].mean(1).cpu()
        return (induced * moment).sum(-1).numpy(), moment.square().sum(-1).numpy()

    top, bottom = slope(model)
    ours = bootstrap_ratio(top, bottom)
    best_top, best_bottom = (one_step * problems.targets).sum(-1).numpy(), one_step.square().sum(-1).numpy()
    best = bootstrap_ratio(best_top, best_bottom)
    weights = resampling_weights(len(top))
    low, high = percentiles((weights @ top) / (weights @ bottom) * (weights @ best_bottom) / (weights @ best_top))
    twins = [bootstrap_ratio(*slope(twin)).estimate for twin in make_twins(model)]
    return Finding(
        id="algorithm.step_size",
        claim=f"Its step size eta/n is that of the best single gradient step, to {STEP_TOLERANCE:.0%}",
        statistic="effective_eta_over_n",
        estimate=ours.estimate,
        ci=(ours.low, ours.high),
        controls={"random_init": float(np.mean(twins))},
        verdict=judge_range((float(low), float(high)), 1 - STEP_TOLERANCE, 1 + STEP_TOLERANCE),
        reason="slope of the induced weights on X^T y; supported when the interval of its ratio to the best step's "
        f"lies within the tolerance ({STEP_PROMPTS} fresh prompts)",
        details={
            "best eta/n": best.estimate,
            "best eta/n interval": (best.low, best.high),
            "ratio interval": (float(low), float(high)),
            "eta/n read off the weights": effective_steps(model)[0].eta_over_n,
        },
    )
