"""Inputs of condition number 100, on which gradient descent is slow and Newton is not (Fu et al., section 5.1)."""

import math

import numpy as np
import pandas as pd

from interp.matching import layer_predictions
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    Contest,
    claim_law,
    contest,
    gd_family,
    models_of,
    newton_family,
    prompts_for,
    runs_of,
)
from interp.reproduce.fu.layers import determined_errors
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from probes import Interval, bootstrap_ratio
from probes.intervals import percentiles

MANY = 3.0
"""So many times the steps are many times the steps."""
ISOTROPIC, SKEWED = "isotropic", "condition number 100"
PANELS = (
    Panel(name="steps of newton", x="layer", y="best step"),
    Panel(name="steps of gd", x="layer", y="best step", y_scale="log"),
    Panel(name="similarity of errors with newton", x="layer", y="at the best step", y_limits=(0, 1.05)),
    Panel(name="similarity of errors with gd", x="layer", y="at the best step", y_limits=(0, 1.05)),
)


def reproduce(lab: Lab) -> Reproduction:
    """Best steps of both solvers, on isotropic and on ill-conditioned inputs, each against a model trained on them."""
    models = {ISOTROPIC: models_of(runs_of(lab)), SKEWED: models_of(runs_of(lab, "-skewed"))}
    prompts = {name: prompts_for(lab, of_name[0][1]) for name, of_name in models.items()}
    newton = newton_family()
    gd = {ISOTROPIC: gd_family(prompts[ISOTROPIC]), SKEWED: gd_family(prompts[SKEWED], prompts[ISOTROPIC])}
    found = {
        name: [(seed, contest(model, prompts[name], [newton, gd[name]])) for seed, model in of_name]
        for name, of_name in models.items()
    }
    table = joined(
        [part for name, of_name in found.items() for seed, one in of_name for part in _rows(one, name, seed)],
    )
    skewed = [one for _, one in found[SKEWED]]
    return Reproduction(
        name="fu-ill-conditioned",
        title="Ill-conditioned inputs",
        source=f"{SOURCE}, section 5.1",
        findings=(
            *_laws(skewed),
            _steps([one for _, one in found[ISOTROPIC]], skewed),
            _learned([model for _, model in models[SKEWED]], lab),
        ),
        table=table,
        drawing=draw_panels(table, PANELS, per_row=2),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {name: len(of_name) for name, of_name in found.items()},
            "prompts": len(prompts[SKEWED]),
        },
    )


def steps_ratio(isotropic: Contest, skewed: Contest, family: str = "gd") -> tuple[Interval, list[int]]:
    """How many times the best steps of the layers that count on both kinds of inputs; their geometric mean.

    These layers are those that the growth laws count: informed, and matched inside the range of steps tried.
    """
    laws = (isotropic.laws[family], skewed.laws[family])
    layers = sorted(set(laws[0].layers) & set(laws[1].layers))
    if not layers:
        return Interval(math.nan, math.nan, math.nan), layers
    before, after = (np.log([law.steps[law.layers.index(layer)] for layer in layers]) for law in laws)
    # A resample may choose step 0 for a layer, which has no logarithm; it counts as half a step. The prompts of the
    # two differ: so do their resamples.
    drawn, drawn_skewed = (
        np.log(np.maximum(one.best_steps(family, layers), 0.5)).mean(-1) for one in (isotropic, skewed)
    )
    low, high = percentiles(np.exp(drawn_skewed - drawn[::-1]))
    return Interval(float(np.exp((after - before).mean())), float(low), float(high)), layers


def _laws(skewed: list[Contest]) -> tuple[Finding, ...]:
    return tuple(
        claim_law(
            f"fu-ill-conditioned.{family}",
            f"On ill-conditioned inputs {title} that match best grow {law}ly with the layer",
            law,
            [one.laws[family] for one in skewed],
            paper=law,
        )
        for family, law, title in (
            ("newton", "linear", "Newton's steps"),
            ("gd", "exponential", "the steps of gradient descent"),
        )
    )


def _steps(isotropic: list[Contest], skewed: list[Contest]) -> Finding:
    """Every skewed model beside an isotropic one."""
    pairs = list(zip(isotropic, skewed, strict=False))
    ratios = [steps_ratio(*pair) for pair in pairs]
    return claim_range(
        "fu-ill-conditioned.steps",
        f"Gradient descent takes at least {MANY:g} times the steps for the same layers as on isotropic inputs",
        "ratio_of_best_steps",
        [ratio for ratio, _ in ratios],
        ratio=True,
        low=MANY,
        paper="many times",
        controls={"newton": steps_ratio(*pairs[0], family="newton")[0].estimate},
        details={
            "layers": [layers for _, layers in ratios],
            "steps, isotropic": [list(one.laws["gd"].steps) for one, _ in pairs],
            "steps, ill-conditioned": [list(one.laws["gd"].steps) for _, one in pairs],
            "step size": {
                name: one.fitted("gd").solver.describe()
                for name, one in zip((ISOTROPIC, SKEWED), pairs[0], strict=True)
            },
        },
    )


def _learned(models: list[HookedRegressor], lab: Lab) -> Finding:
    left = []
    for model in models:
        found = layer_predictions(model, prompts_for(lab, model))
        left.append(bootstrap_ratio(determined_errors(found)[-1], determined_errors(found.zero())[-1]))
    return claim_range(
        "fu-ill-conditioned.learned",
        "The last layer keeps less than a twentieth of the error of predicting zero",
        "error_relative_to_predicting_zero",
        left,
        ratio=True,
        high=0.05,
        paper="transformers learn ill-conditioned problems too",
    )


def _rows(found: Contest, name: str, seed: int) -> list[pd.DataFrame]:
    parts = []
    for family in ("newton", "gd"):
        law = found.laws[family]
        steps = pd.DataFrame({"layer": law.layers, "step": law.steps, "series": name, "seed": seed})
        parts.append(rows(f"steps of {family}", steps, x="layer", y="step"))
        parts.append(found.rows(f"similarity of errors with {family}", family, seed).assign(series=name))
    return parts
