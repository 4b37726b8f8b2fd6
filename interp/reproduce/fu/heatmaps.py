"""Layers against steps of Newton's method and of gradient descent (Fu et al., section 4.2)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp.matching.observed import Promptwise
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    Contest,
    claim_law,
    contest,
    contests,
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
from interp.reproduce.panels import Panel, draw_panels, joined
from interp.reproduce.reproduction import Reproduction
from interp.tasks import Prompts

NAMES: dict[Promptwise, str] = {"errors": "errors", "weights": "induced weights"}
FAMILIES = ("newton", "gd")
PANELS = (
    *(
        Panel(name=f"{NAMES[measure]}: {family}", x=f"steps of {family}", y="layer", heat=True)
        for measure in NAMES
        for family in FAMILIES
    ),
    Panel(name="steps of newton", x="layer", y="best step"),
    Panel(name="steps of gd", x="layer", y="best step", y_scale="log"),
)


@dataclass(frozen=True)
class Heat:
    """One model held against both solvers."""

    by_measure: dict[Promptwise, Contest]
    published: Contest
    """By similarity of errors with the uninformed point among them, as the released code has it."""
    twin: Contest
    """An untrained model's, by similarity of errors."""


def reproduce(lab: Lab) -> Reproduction:
    """Similarity of every layer with every iterate, and how the best step grows."""
    models = models_of(runs_of(lab))
    prompts = prompts_for(lab, models[0][1])
    found = [held_against(model, prompts) for _, model in models]
    tables = [growth_rows(heat, seed) for (seed, _), heat in zip(models, found, strict=True)]
    table = joined([heat_rows(found[0], models[0][0]), *tables])
    return Reproduction(
        name="fu-heatmaps",
        title="Layers against steps of Newton's method and of gradient descent",
        source=f"{SOURCE}, section 4.2",
        findings=findings_of(found),
        table=table,
        drawing=draw_panels(table, PANELS, per_row=2),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(found), "prompts": len(prompts)},
    )


def held_against(model: HookedRegressor, prompts: Prompts) -> Heat:
    """Newton and GD against the layers of a model, and of its untrained twin."""
    families = [newton_family(), gd_family(prompts)]
    return Heat(
        by_measure=contests(model, prompts, families),
        published=contest(model, prompts, families, first_point=0),
        twin=contest(untrained(model), prompts, families),
    )


def heat_rows(heat: Heat, seed: int) -> pd.DataFrame:
    """The heat maps: x and y are step and layer, value the similarity, boxed the step chosen for the layer."""
    parts = []
    for measure, found in heat.by_measure.items():
        for family in FAMILIES:
            fitted = found.fitted(family)
            steps, layers = (np.asarray(axis) for axis in (fitted.family.steps, range(len(fitted.best))))
            grid = pd.DataFrame(fitted.similarity.mean, index=layers, columns=steps)
            part = grid.rename_axis("y").reset_index().melt("y", var_name="x")
            part["boxed"] = part["x"].to_numpy() == steps[fitted.best][part["y"]]
            parts.append(part.assign(panel=f"{NAMES[measure]}: {family}", series=family, seed=seed))
    return pd.concat(parts, ignore_index=True)[["panel", "series", "seed", "x", "y", "value", "boxed"]]


def growth_rows(heat: Heat, seed: int) -> pd.DataFrame:
    """The best step of every layer that is informed, by measure."""
    return pd.DataFrame(
        [
            {"panel": f"steps of {family}", "series": NAMES[measure], "seed": seed, "x": layer, "y": step}
            for measure, found in heat.by_measure.items()
            for family in FAMILIES
            for layer, step in zip(found.laws[family].layers, found.laws[family].steps, strict=True)
        ],
        columns=["panel", "series", "seed", "x", "y"],
    )


def findings_of(found: list[Heat]) -> tuple[Finding, ...]:
    """Growth laws in either measure, steps per layer, and how similar Newton is to the second half of the layers."""
    growth = [
        claim_law(
            f"fu-heatmaps.{measure}.{family}",
            f"{title} that match best grow {law}ly with the layer, by similarity of {NAMES[measure]}",
            law,
            [heat.by_measure[measure].laws[family] for heat in found],
            paper=paper,
        )
        for measure in NAMES
        for family, law, title, paper in (
            ("newton", "linear", "Newton's steps", "linear, about 3 steps per layer"),
            ("gd", "exponential", "The steps of gradient descent", "exponential"),
        )
    ]
    steps = claim_range(
        "fu-heatmaps.per_layer",
        "A layer does about 3 steps of Newton's method (2.5 to 3.5)",
        "newton_steps_per_layer",
        [heat.by_measure["errors"].laws["newton"].per_layer for heat in found],
        low=2.5,
        high=3.5,
        paper="each middle layer about 3",
    )
    layers = middle_and_late(len(found[0].twin.similarity("newton")) - 1)
    similar = [
        left_open_unless(
            all(set(layers) <= set(heat.by_measure["errors"].informed) for heat in found),
            "some of these layers are not told from a null predictor",
            claim_range(
                f"fu-heatmaps.similarity{suffix}",
                f"Layers {layers[0]} to {layers[-1]} err as Newton's iterates do: similarity above 0.99{said}",
                "lowest_similarity_of_errors",
                [lowest(of_run.similarity("newton")[layers]) for of_run in those],
                low=0.99,
                paper="above 0.99",
                controls={
                    "random_init": float(found[0].twin.similarity("newton")[layers].mean(-1).min()),
                    "gd": float(those[0].similarity("gd")[layers].mean(-1).min()),
                },
            ),
        )
        for suffix, said, those in (
            ("", "", [heat.by_measure["errors"] for heat in found]),
            ("_published", ", the uninformed point included, as published", [heat.published for heat in found]),
        )
    ]
    return (*growth, steps, *similar)
