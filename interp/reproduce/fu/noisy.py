"""Noisy targets: the layers still follow Newton's method, and end nearer ridge than least squares (Fu et al., app.)."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp.matching import LayerPredictions
from interp.matching.layer_errors import error_table
from interp.matching.readouts import model_answers, problems_of
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    Contest,
    claim_law,
    contest,
    gd_family,
    left_open_unless,
    lowest,
    middle_and_late,
    models_of,
    newton_family,
    prompts_for,
    runs_of,
    untrained,
)
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import AbstractSolver, OrdinaryLeastSquares, Ridge
from interp.tasks import LinearRegression, Prompts
from interp.training import Run
from probes import Interval, bootstrap_ratio

PANELS = (
    Panel(name="best steps", x="layer", y="best step", y_scale="log"),
    Panel(name="similarity of errors", x="layer", y="at the best step", y_limits=(0, 1.05)),
    Panel(name="distance of the last layer", x="examples", y="squared distance / dim", y_scale="log"),
)


def bayes_ridge(task: LinearRegression) -> Ridge:
    """The posterior mean: alpha is the variance of the noise over that of the weights."""
    return Ridge(alpha=(task.noise_std / task.weight_scale) ** 2)


def reproduce(lab: Lab) -> Reproduction:
    """Growth laws and similarities on noisy targets, and what the last layer predicts."""
    runs = runs_of(lab, "-noisy")
    models = models_of(runs)
    task = _linear(runs[0])
    prompts = prompts_for(lab, models[0][1])
    families = [newton_family(), gd_family(prompts)]
    found = [contest(model, prompts, families) for _, model in models]
    twin = contest(untrained(models[0][1]), prompts, families)
    predicted = [_answers(model, prompts) for _, model in models]
    table = joined(
        [
            part
            for (seed, _), of_run, answers in zip(models, found, predicted, strict=True)
            for part in _rows(of_run, answers, bayes_ridge(task), seed)
        ],
    )
    return Reproduction(
        name="fu-noisy",
        title="Noisy targets",
        source=f"{SOURCE}, appendix",
        findings=(*_like_newton(found, twin), *_towards_ridge(found, predicted, bayes_ridge(task))),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(models), "prompts": len(prompts), "noise_std": task.noise_std},
    )


def _linear(run: Run) -> LinearRegression:
    assert isinstance(run.recipe.task, LinearRegression)
    return run.recipe.task


def _answers(model: HookedRegressor, prompts: Prompts) -> LayerPredictions:
    """The model's own answers to the half of the prompts that everything is estimated on."""
    judged = prompts.halves()[1]
    problems = problems_of(model, judged)
    return LayerPredictions(model_answers(model, judged).to(problems.targets)[None], problems)


def _like_newton(found: list[Contest], twin: Contest) -> tuple[Finding, ...]:
    layers = middle_and_late(len(twin.similarity("newton")) - 1)
    return (
        *(
            claim_law(
                f"fu-noisy.{family}",
                f"On noisy targets {title} that match best grow {law}ly with the layer",
                law,
                [of_run.laws[family] for of_run in found],
                paper=law,
            )
            for family, law, title in (
                ("newton", "linear", "Newton's steps"),
                ("gd", "exponential", "the steps of gradient descent"),
            )
        ),
        left_open_unless(
            all(set(layers) <= set(of_run.informed) for of_run in found),
            "some of these layers are not told from a null predictor",
            claim_range(
                "fu-noisy.similarity",
                f"Layers {layers[0]} to {layers[-1]} err as Newton's iterates do: similarity of errors above 0.99",
                "lowest_similarity_of_errors",
                [lowest(of_run.similarity("newton")[layers]) for of_run in found],
                low=0.99,
                paper="still close to Newton's method",
                controls={"random_init": float(twin.similarity("newton")[layers].mean(-1).min())},
            ),
        ),
    )


def distance(
    found: LayerPredictions, to: AbstractSolver | Tensor, step: int = 1
) -> Float[NDArray[np.float64], "prompt column"]:
    """Squared distance between answers and a solver's iterate, or other answers."""
    theirs = to if isinstance(to, Tensor) else to.predict(found.problems, (step,))[0]
    return np.asarray((found.values[0] - theirs).square().cpu())


def ridge_to_ols(found: LayerPredictions, ridge: Ridge, columns: NDArray[np.bool_]) -> Interval:
    """Squared distance to ridge relative to that to least squares, over some columns."""
    near, far = (distance(found, solver)[:, columns].sum(-1) for solver in (ridge, OrdinaryLeastSquares()))
    return bootstrap_ratio(near, far)


def _towards_ridge(found: list[Contest], predicted: list[LayerPredictions], ridge: Ridge) -> tuple[Finding, ...]:
    problems, counts = predicted[0].problems, predicted[0].n_examples
    dim = problems.xs.shape[2]
    newton = found[0].fitted("newton")
    step = newton.family.steps[newton.best[-1]]
    iterate = LayerPredictions(newton.solver.predict(problems, (step,)), problems)
    last = len(newton.best) - 1
    return tuple(
        left_open_unless(
            all(last in of_run.informed for of_run in found),
            "the last layer is not told from a null predictor, and 0 is nearer ridge",
            claim_range(
                f"fu-noisy.ridge{suffix}",
                f"The answers {said} are nearer Bayes-optimal ridge (alpha {ridge.alpha:g}) than least squares",
                "squared_distance_to_ridge_over_that_to_ols",
                [ridge_to_ols(answers, ridge, columns) for answers in predicted],
                ratio=True,
                high=1.0,
                paper="towards ridge",
                controls={f"newton, step {step}": ridge_to_ols(iterate, ridge, columns).estimate},
                details={
                    "mean squared distance": {
                        name: float(np.mean([distance(answers, solver)[:, columns].mean() for answers in predicted]))
                        for name, solver in (("ridge", ridge), ("ols", OrdinaryLeastSquares()))
                    },
                },
            ),
        )
        for suffix, said, columns in (
            ("", f"from {2 * dim} examples on", counts >= 2 * dim),
            # Least squares explodes near dim examples, and anything is far from it there.
            ("_all", "at any number of examples", counts >= 1),
        )
    )


def _rows(found: Contest, predicted: LayerPredictions, ridge: Ridge, seed: int) -> list[pd.DataFrame]:
    dim = predicted.problems.xs.shape[2]
    parts = []
    for family, law in found.laws.items():
        steps = pd.DataFrame({"layer": law.layers, "step": law.steps, "series": family, "seed": seed})
        parts.append(rows("best steps", steps, x="layer", y="step"))
        parts.append(found.rows("similarity of errors", family, seed))
    for name, solver in (("to ridge", ridge), ("to ols", OrdinaryLeastSquares())):
        means = error_table(distance(predicted, solver)[None] / dim, predicted.n_examples)
        means = means[means["n_examples"] > 0].assign(series=name, seed=seed)
        parts.append(rows("distance of the last layer", means, x="n_examples", y="error"))
    return parts
