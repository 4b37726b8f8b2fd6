"""Softmax attention with one head and with two, with and without layer norm (appendix)."""

import numpy as np
import pandas as pd

from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import at_update, follow, one_layer_runs, recipe_for
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import tune

MODELS = {
    "softmax, 2 heads": "softmax-1layer",
    "softmax, 1 head": "softmax-1layer-1head",
    "softmax, 2 heads, norm": "softmax-1layer-ln",
    "softmax, 1 head, norm": "softmax-1layer-1head-ln",
}
LINEAR = "linear attention"
"""Name of the linear layer in the figure."""
PANELS = (
    Panel(name="loss in training", x="update", y="half mean squared error", x_scale="symlog"),
    Panel(name="alignment: cosine", x="update", y="cosine of sensitivities with gd", x_scale="symlog"),
    Panel(name="alignment: l2", x="update", y="distance of sensitivities", x_scale="symlog"),
)


def reproduce(lab: Lab) -> Reproduction:
    """Loss and alignment in training, against one step of gradient descent and a layer of linear attention."""
    seeds = 3 if lab.quick else 5
    linear = one_layer_runs(lab)
    prompts = lab.prompts(linear[0].recipe.task)
    best = tune("gd", prompts, 1)
    courses = {LINEAR: follow(linear, {"gd": best.solver}, prompts)}
    for name, recipe in MODELS.items():
        courses[name] = follow(lab.runs(recipe_for(lab, recipe, 1500), seeds=seeds), {"gd": best.solver}, prompts)
    course = pd.concat([table.assign(series=name) for name, table in courses.items()], ignore_index=True)
    table = pd.concat(
        [
            rows("loss in training", course, x="update", y="loss"),
            rows("loss in training", courses[LINEAR].assign(loss=best.loss, series="gd"), x="update", y="loss"),
            rows("alignment: cosine", course, x="update", y="cosine"),
            rows("alignment: l2", course, x="update", y="l2"),
        ],
        ignore_index=True,
    )

    def final(name: str, column: str) -> np.ndarray:
        found = courses[name]
        return np.array(at_update(found, int(found["update"].max()), column, "gd"))

    two, one = "softmax, 2 heads", "softmax, 1 head"
    ends = {name: {c: final(name, c).mean().item() for c in ("loss", "cosine")} for name in courses}
    untrained = {name: float(np.mean(at_update(courses[name], 0, "cosine", "gd"))) for name in (one, two)}
    return Reproduction(
        name="oswald-softmax",
        title="Softmax attention: two heads align better than one",
        source=f"{SOURCE}, appendix",
        findings=(
            claim_range(
                "oswald-softmax.two_heads",
                "Two softmax heads align better with gradient descent than one",
                "difference_of_cosines",
                (final(two, "cosine") - final(one, "cosine")).tolist(),
                low=0.0,
                paper="two heads align better than one",
                controls=untrained,
                details={"at the end": ends},
            ),
            claim_range(
                "oswald-softmax.two_heads_norm",
                "With layer norm too, two heads align better than one",
                "difference_of_cosines",
                (final("softmax, 2 heads, norm", "cosine") - final("softmax, 1 head, norm", "cosine")).tolist(),
                low=0.0,
            ),
            claim_range(
                "oswald-softmax.worse_than_linear",
                "Two softmax heads have a higher loss than a layer of linear attention",
                "loss_relative_to_gd",
                (final(two, "loss") / best.loss).tolist(),
                ratio=True,
                low=ends[LINEAR]["loss"] / best.loss,
                paper="worse than linear attention",
                controls={"linear attention": ends[LINEAR]["loss"] / best.loss},
            ),
            claim_range(
                "oswald-softmax.alignment",
                "Two softmax heads come close to gradient descent: cosine of sensitivities above 0.9",
                "cosine_of_sensitivities",
                final(two, "cosine").tolist(),
                low=0.9,
                paper="aligned, less than linear attention",
                controls={"untrained": untrained[two], "linear attention": ends[LINEAR]["cosine"]},
            ),
        ),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": seeds, "prompts": len(prompts)},
    )
