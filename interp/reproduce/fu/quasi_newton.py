"""Newton and BFGS, conjugate gradient and L-BFGS: who is most like the layers (Fu et al., appendix)."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching import Family
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    Contest,
    contest,
    difference,
    models_of,
    newton_family,
    prompts_for,
    runs_of,
    untrained,
)
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from probes import Interval

NEAR, FAR = ("newton", "bfgs"), ("cg", "lbfgs")
PANELS = (
    Panel(name="similarity of errors", x="layer", y="at the best step", y_limits=(0, 1.05)),
    Panel(name="best steps", x="layer", y="best step"),
)


def reproduce(lab: Lab) -> Reproduction:
    """Best similarities of four second-order and conjugate-direction methods."""
    models = models_of(runs_of(lab))
    prompts = prompts_for(lab, models[0][1])
    families: list[str | Family] = [
        newton_family(),
        "bfgs:line_search=backtracking",
        "lbfgs:line_search=backtracking",
        "cg",
    ]
    found = [contest(model, prompts, families) for _, model in models]
    twin = contest(untrained(models[0][1]), prompts, families)
    table = joined(
        [part for (seed, _), of_run in zip(models, found, strict=True) for part in _rows(of_run, seed)],
    )
    return Reproduction(
        name="fu-quasi-newton",
        title="Newton, BFGS, L-BFGS and conjugate gradient",
        source=f"{SOURCE}, appendix",
        findings=(*(_closer(found, twin, near, far) for near in NEAR for far in FAR),),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(found), "prompts": len(prompts)},
    )


def margin(found: Contest, near: str, far: str) -> Interval:
    """How much more similar one family is than another, on average over the informed layers, paired over prompts."""
    if not found.informed:
        return Interval(math.nan, math.nan, math.nan)
    ours, theirs = (_over_layers(found, family) for family in (near, far))
    return difference([ours], [theirs])


def _over_layers(found: Contest, family: str) -> Float[NDArray[np.float64], " prompt"]:
    return found.similarity(family)[list(found.informed)].mean(0)


def _closer(found: list[Contest], twin: Contest, near: str, far: str) -> Finding:
    return claim_range(
        f"fu-quasi-newton.{near}_{far}",
        f"The layers are more similar to {near} than to {far}",
        "difference_of_similarities",
        [margin(of_run, near, far) for of_run in found],
        low=0.0,
        paper=f"closer to {near} than to {far}",
        controls={"random_init, last layer": float((twin.similarity(near)[-1] - twin.similarity(far)[-1]).mean())},
        details={
            "informed layers": [list(of_run.informed) for of_run in found],
            "similarity by layer": {
                family: np.mean([of_run.similarity(family).mean(-1) for of_run in found], axis=0).tolist()
                for family in (near, far)
            },
        },
    )


def _rows(found: Contest, seed: int) -> list[pd.DataFrame]:
    """Similarities of all layers; steps of those that are informed, on others they mean nothing."""
    parts = []
    for family in (*NEAR, *FAR):
        fitted = found.fitted(family)
        steps = pd.DataFrame(
            [{"layer": layer, "step": fitted.family.steps[fitted.best[layer]]} for layer in found.informed],
            columns=["layer", "step"],
        )
        parts.append(found.rows("similarity of errors", family, seed))
        parts.append(rows("best steps", steps.assign(series=family, seed=seed), x="layer", y="step"))
    return parts
