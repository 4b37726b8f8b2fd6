"""Out of distribution: model, algorithm and interpolation on prompts of other laws (Fig. 2, Fig. 3 and appendix)."""

import numpy as np
import pandas as pd

from interp.matching import compare_under_shift, shifts_of
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of, tuned
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import (
    deep_runs,
    halfway,
    linear_task,
    looped_runs,
    one_layer_runs,
    tune_each,
    twin_of,
)
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.training import Run

LABELS = {
    "input scale": "inputs times",
    "weight scale": "hidden weights times",
    "input law": "law of the inputs",
    "label noise": "noise on labels",
    "distractors": "labels replaced",
}
TOLERANCE = 0.1
HEAVY = 4
"""How many times the prompts the loss of a deep model takes, on which rare ones weigh."""
MODELS = {"1 layer": "gd", "2 layers, looped": "gd++", "5 layers": "gd++ per step"}
"""The models by their names in the figure, and the algorithm that each is held against."""


def reproduce(lab: Lab) -> Reproduction:
    """The loss under every shift of one, two (looped) and five layers, and of their algorithms."""
    runs = dict(zip(MODELS, (one_layer_runs(lab), looped_runs(lab), deep_runs(lab)), strict=True))
    shifted = pd.concat([_shifted(lab, name, of_model) for name, of_model in runs.items()], ignore_index=True)
    shifted["panel"] = shifted["model"] + ": " + shifted["shift"]
    panels = [
        Panel(
            name=f"{name}: {kind}",
            x=label,
            y="half mean squared error",
            x_scale="categories" if kind == "input law" else "linear",
            y_scale="log",
        )
        for name in MODELS
        for kind, label in LABELS.items()
    ]
    table = pd.concat(
        [
            rows(panel.name, shifted[shifted["panel"] == panel.name], x="value", y="loss", series="predictor")
            for panel in panels
        ],
        ignore_index=True,
    )
    return Reproduction(
        name="oswald-ood",
        title="Out of distribution, the model errs as its algorithm does",
        source=f"{SOURCE}, Fig. 2, Fig. 3 and appendix",
        findings=tuple(
            _finding(shifted[(shifted["model"] == name) & (shifted["shift"] == kind)], name, kind, algorithm)
            for name, algorithm in MODELS.items()
            for kind in LABELS
        ),
        table=table,
        drawing=draw_panels(table, panels, per_row=len(LABELS)),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {name: len(found) for name, found in runs.items()},
            "prompts": lab.n_prompts,
            "prompts, 5 layers": HEAVY * lab.n_prompts,
        },
    )


def _shifted(lab: Lab, name: str, runs: list[Run]) -> pd.DataFrame:
    """Losses under all shifts, with columns model and seed."""
    prompts = lab.prompts(runs[0].recipe.task)
    steps = runs[0].recipe.model.n_layers
    n_prompts = HEAVY * lab.n_prompts if steps > 2 else lab.n_prompts
    solvers = tuned(["gd", "gd++"] if steps > 1 else ["gd"], prompts, steps)
    if MODELS[name] == "gd++ per step":
        solvers["gd++ per step"] = tune_each(lab, "gd++", linear_task(runs[0]), steps, prompts).solver
    tables = []
    for run in runs:
        model = model_of(run)
        predictors = {
            "trained": model,
            "interpolated": halfway(model, solvers[MODELS[name]]),
            **{solver: twin_of(found, model) for solver, found in solvers.items()},
        }
        table = compare_under_shift(predictors, shifts_of(run.recipe.task), n_prompts=n_prompts, seed=lab.seed)
        tables.append(table.assign(model=name, seed=run.seed))
    return pd.concat(tables, ignore_index=True)


def _finding(part: pd.DataFrame, name: str, kind: str, algorithm: str) -> Finding:
    """Per seed, the ratio of losses at the value of the shift where it is farthest from 1."""
    losses = part.pivot(index=["seed", "value"], columns="predictor", values="loss")
    ratios = (losses["trained"] / losses[algorithm]).rename("ratio").reset_index()
    ratios["distance"] = np.abs(np.log(ratios["ratio"]))
    worst = ratios.loc[ratios.groupby("seed")["distance"].idxmax()]
    rival = "interpolated" if algorithm == "gd" else "gd"
    others = losses[rival] / losses[algorithm]
    return claim_range(
        f"oswald-ood.{name.split()[0]}layer.{kind.replace(' ', '_')}",
        f"{name}: as the {kind} moves, it errs as {algorithm} does, to {TOLERANCE:.0%} at the worst",
        f"loss_relative_to_{algorithm.replace(' ', '_')}",
        worst["ratio"].tolist(),
        ratio=True,
        low=1 - TOLERANCE,
        high=1 + TOLERANCE,
        paper="curves of trained model, GD and interpolation lie on each other",
        details={
            "worst at, per seed": worst["value"].tolist(),
            f"{rival} relative to {algorithm}, worst": float(np.exp(np.abs(np.log(others)).max())),
        },
    )
