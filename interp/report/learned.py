"""What the model learned: its loss beside those of known predictors."""

from typing import Any

import numpy as np
import pandas as pd

from interp.matching.readouts import columns_of, model_answers, problems_of
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter, count_of, judge_range
from interp.report.document import Figure, Section
from interp.report.figures import draw_losses
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.solvers import MeanPredictor, OrdinaryLeastSquares, Tuned, ZeroPredictor, tune
from interp.tasks import Prompts
from probes import Interval, bootstrap_mean, bootstrap_ratio

GD_TOLERANCE = 0.005
"""How far the loss may be from the best gradient descent's for the two to count as equal."""


def write_learned(model: HookedRegressor, prompts: Prompts) -> Chapter:
    """Compare the model's loss with those of the null predictors, OLS, and as many best GD steps as it has layers."""
    problems = problems_of(model, prompts)
    points = columns_of(model, prompts)
    informed = slice(0 if points is None else 1, None)
    steps = model.cfg.n_layers
    best_gd = tune("gd", prompts, steps, points=None if points is None else points[1:])

    def per_prompt(predictions: Any) -> np.ndarray:
        errors = (predictions - problems.targets)[:, informed]
        return np.asarray(0.5 * errors.square().mean(-1))

    losses = {"the model": per_prompt(model_answers(model, prompts).to(problems.targets))}
    gd_name = f"gd, best {count_of(steps, 'step')}"
    for name, solver, count in (
        ("zero", ZeroPredictor(), 1),
        ("mean of the y so far", MeanPredictor(), 1),
        (gd_name, best_gd.solver, steps),
        ("ols", OrdinaryLeastSquares(), 1),
    ):
        losses[name] = per_prompt(solver.predict(problems, (count,))[0])
    twin_losses = [per_prompt(model_answers(twin, prompts).to(problems.targets)) for twin in make_twins(model)]
    table = _table(losses)
    figure = Figure(
        title="Loss of the model and of known predictors",
        caption="Half the mean squared error on the same prompts; bars are 95 % intervals over prompts. A model near a "
        "predictor's dot does as well as that predictor; that it computes the same is for the later sections to show.",
        svg=to_svg(draw_losses(table)),
        table="losses",
    )
    return Chapter(
        section=Section(
            title="What the model learned",
            introduction="How well it predicts, between knowing nothing and the least-squares solution.",
            figures=(figure,),
        ),
        findings=(
            _regression_finding(losses["the model"], losses["zero"], twin_losses),
            _gd_finding(losses, best_gd, twin_losses, gd_name),
        ),
        tables={"losses": table},
    )


def _table(losses: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for name, values in losses.items():
        interval = bootstrap_mean(values)
        rows.append({"predictor": name, "loss": interval.estimate, "ci_low": interval.low, "ci_high": interval.high})
    return pd.DataFrame(rows)


def _regression_finding(ours: np.ndarray, zero: np.ndarray, twins: list[np.ndarray]) -> Finding:
    ratio = bootstrap_ratio(ours, zero)
    controls = [bootstrap_ratio(twin, zero) for twin in twins]
    below = ratio.high < min([1.0, *(control.low for control in controls)])
    above = ratio.low > 1.0
    return Finding(
        id="learned.regression",
        claim="The model has learned to use its examples: it predicts better than a model that knows nothing",
        statistic="loss_relative_to_predicting_zero",
        estimate=ratio.estimate,
        ci=(ratio.low, ratio.high),
        controls={"random_init": float(np.mean([control.estimate for control in controls]))},
        verdict="supported" if below else "refuted" if above else "inconclusive",
        reason="1 is knowing nothing; supported when the interval lies below 1 and below every untrained twin's",
        details={"loss": float(ours.mean())},
    )


def _gd_finding(losses: dict[str, np.ndarray], best: Tuned, twins: list[np.ndarray], name: str) -> Finding:
    ratio: Interval = bootstrap_ratio(losses["the model"], losses[name])
    ci = (ratio.low, ratio.high)
    return Finding(
        id="learned.gd_loss",
        claim=f"Its loss is within {GD_TOLERANCE:.1%} of that of {count_of(best.steps, 'step')} of gradient descent at "
        "the best step size, on the same prompts",
        statistic="loss_relative_to_best_gd",
        estimate=ratio.estimate,
        ci=ci,
        controls={
            "random_init": float(np.mean([bootstrap_ratio(twin, losses[name]).estimate for twin in twins])),
            "zero": bootstrap_ratio(losses["zero"], losses[name]).estimate,
        },
        verdict=judge_range(ci, 1 - GD_TOLERANCE, 1 + GD_TOLERANCE),
        reason="the step size was tuned on these very prompts; supported when the whole interval is within the "
        "tolerance",
        details={"gd": f"{count_of(best.steps, 'step')}, {best.solver.describe()}", "gd loss": best.loss},
    )
