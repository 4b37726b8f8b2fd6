"""Spectral responses of the layers beside those of Newton and gradient descent: a figure of ours.

Once either solver has the steps that suit a layer, errors hardly tell the two apart. Their responses differ: that of
gradient descent begins as the eigenvalue of X^T X, that of Newton as its square.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching import EigenvalueBins, ResponseSums, make_family, response_table, similarity_of_responses
from interp.matching.match_response import BOUND, THE_MODEL
from interp.matching.pipeline import resampled_means
from interp.matching.response import unexplained
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    GD_STEPS,
    NEWTON_STEPS,
    Contest,
    contests,
    interval_over_runs,
    layers_named,
    models_of,
    prompts_for,
    runs_of,
    untrained,
)
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.tasks import Prompts
from probes import Interval
from probes.intervals import percentiles

FAMILIES = ("newton", "gd")
WEIGHT_PROMPTS = 256
Draws = Float[NDArray[np.float64], "draw layer"]
"""Of one estimate and its bootstrap resamples: the estimate comes first."""


@dataclass(frozen=True)
class Responses:
    """One model's responses, and those of the iterates whose errors suit its layers best."""

    errors: Contest
    similarity: dict[str, Draws]
    """Of the response of each layer with that of a family's iterate."""
    explained: Draws
    """How much of each layer's answers, after 2 dim examples, a function of the eigenvalue accounts for."""
    curves: pd.DataFrame
    """The responses after 2 dim examples; columns of `response_table` and solver."""


def reproduce(lab: Lab) -> Reproduction:
    """Responses of layers and iterates, and whom the layers are nearer."""
    models = models_of(runs_of(lab))
    prompts = prompts_for(lab, models[0][1])
    found = [measured(model, prompts) for _, model in models]
    twin = measured(untrained(models[0][1]), prompts)
    table = joined([part for (seed, _), one in zip(models, found, strict=True) for part in _rows(one, seed)])
    n_layers = found[0].explained.shape[1] - 1
    panels = [
        *(
            Panel(name=f"layer {layer}", x="eigenvalue", y="share solved", x_scale="log", y_limits=(-0.25, 1.35))
            for layer in range(1, n_layers + 1)
        ),
        Panel(name="similarity of responses", x="layer", y="at the best step by errors", y_limits=(0, 1.05)),
        Panel(name="explained", x="layer", y="by a function of the eigenvalue", y_limits=(0, 1.05)),
    ]
    return Reproduction(
        name="fu-spectrum",
        title="Spectral responses of layers, Newton's method and gradient descent",
        source=f"ours, on the models of {SOURCE}; no claim of the paper",
        findings=_findings(found, twin),
        table=table,
        drawing=draw_panels(table, panels, per_row=4),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(found), "prompts": len(prompts), "weight prompts": WEIGHT_PROMPTS},
    )


def measured(model: HookedRegressor, prompts: Prompts) -> Responses:
    """Choose hyperparameters and steps by errors, and compare the iterates' responses with those of the layers."""
    # Which is nearer must not hang on a step size: each family has the hyperparameters that suit the layers best.
    families = [make_family("newton", many_prefixes=True, steps=NEWTON_STEPS)]
    families += [make_family("gd", many_prefixes=True, steps=GD_STEPS[::2])]
    by_measure = contests(model, prompts, families, weight_prompts=WEIGHT_PROMPTS)
    errors, observed = by_measure["errors"], by_measure["weights"].observed
    problems, weights = observed.problems, observed.weights_by_prefix
    bins = EigenvalueBins.of(problems.spectrum)
    layers = _draws(ResponseSums.of(weights, problems, bins))
    at_end = int(np.argmin([abs(prefix - 2 * problems.xs.shape[2]) for prefix in problems.prefixes]))
    curves, similarity = [response_table(weights, problems, bins).assign(solver=THE_MODEL)], {}
    for family in FAMILIES:
        fitted = errors.fitted(family)
        iterates = fitted.solver.trace(problems, [fitted.family.steps[best] for best in fitted.best]).weights
        similarity[family] = similarity_of_responses(layers, _draws(ResponseSums.of(iterates, problems, bins, BOUND)))
        curves.append(response_table(iterates, problems, bins).assign(solver=family))
    left, total = (np.asarray(part[:, :, at_end].cpu()) for part in unexplained(weights, problems, bins))
    explained = [1 - means(left) / means(total).clip(1e-300) for means in (_mean_over_prompts, resampled_means)]
    both = pd.concat(curves, ignore_index=True)
    return Responses(
        errors=errors,
        similarity=similarity,
        explained=np.concatenate(explained),
        curves=both[both["n_examples"] == problems.prefixes[at_end]],
    )


def _mean_over_prompts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.mean(-1)[None]


def _draws(sums: ResponseSums) -> Float[NDArray[np.float64], "draw subject cell"]:
    return np.nan_to_num(np.concatenate([sums.responses()[None], sums.resampled()]), nan=0.0)


def centred(draws: Float[NDArray[np.float64], " draw"]) -> Interval:
    """The first with the percentiles of the others, moved so that their mean is the first: noise takes from both."""
    low, high = percentiles(draws[1:] - draws[1:].mean() + draws[0])
    return Interval(float(draws[0]), float(low), float(high))


def ahead(found: Responses, layers: list[int]) -> Interval:
    """How much more similar the responses of these layers are to Newton's than to those of gradient descent."""
    if not layers:
        return Interval(math.nan, math.nan, math.nan)
    return centred((found.similarity["newton"] - found.similarity["gd"])[:, layers].mean(-1))


def ahead_by_errors(found: Responses, layers: list[int]) -> Interval:
    """The same of the similarity of errors."""
    if not layers:
        return Interval(math.nan, math.nan, math.nan)
    gap = (found.errors.similarity("newton") - found.errors.similarity("gd"))[layers].mean(0)
    return centred(np.concatenate([[gap.mean()], resampled_means(gap)]))


def _findings(found: list[Responses], twin: Responses) -> tuple[Finding, ...]:
    # Models of different seeds begin at different layers; what they do is alike from there on.
    informed = [sorted(one.errors.informed) for one in found]
    last = found[0].explained.shape[1] - 1
    return (
        _nearer(found, informed, "newton", "On average over the informed layers", twin),
        *(
            _nearer(
                found,
                [[layer] for layer in layers],
                f"informed{rank}",
                f"Informed layer {rank} ({layers_named(layers)})",
            )
            for rank, layers in enumerate(zip(*informed, strict=False), start=1)
        ),
        claim_range(
            "fu-spectrum.explained",
            "The informed layers' answers are functions of the eigenvalues: these explain 90 % in each, after 2 dim "
            "examples",
            "lowest_share_explained",
            [_lowest_explained(one, layers) for one, layers in zip(found, informed, strict=True)],
            low=0.9,
            controls={"random_init, last layer": float(twin.explained[0, last])},
            details={"explained, by layer": [one.explained[0].tolist() for one in found]},
        ),
    )


def _nearer(
    found: list[Responses], layers: list[list[int]], id: str, subject: str, twin: Responses | None = None
) -> Finding:
    """Of ``layers`` of every model."""
    pairs = list(zip(found, layers, strict=True))
    by_errors = interval_over_runs([ahead_by_errors(one, own) for one, own in pairs])
    apart = {
        "responses": [_told_apart(ahead(one, [layer])) for one, own in pairs for layer in own],
        "errors": [_told_apart(ahead_by_errors(one, [layer])) for one, own in pairs for layer in own],
    }
    return claim_range(
        f"fu-spectrum.{id}",
        f"{subject}: the response is nearer that of Newton's iterate than that of gradient descent's",
        "difference_of_similarities_of_responses",
        [ahead(one, own) for one, own in pairs],
        low=0.0,
        controls={} if twin is None else {"random_init": ahead(twin, layers[0] or [1]).estimate},
        details={
            "layers": layers,
            "the same by similarity of errors": [by_errors.estimate, by_errors.low, by_errors.high],
            "layers at which the interval tells the two apart": {name: sum(told) for name, told in apart.items()},
            "hyperparameters": {
                family: [one.errors.fitted(family).solver.describe() for one in found] for family in FAMILIES
            },
            "steps": {
                family: [
                    [one.errors.fitted(family).family.steps[one.errors.fitted(family).best[layer]] for layer in own]
                    for one, own in pairs
                ]
                for family in FAMILIES
            },
        },
    )


def _told_apart(gap: Interval) -> bool:
    return gap.low > 0 or gap.high < 0


def _lowest_explained(found: Responses, layers: list[int]) -> Interval:
    if not layers:
        return Interval(math.nan, math.nan, math.nan)
    low, high = percentiles(found.explained[1:, layers])
    return Interval(float(found.explained[0, layers].min()), float(low.min()), float(high.min()))


def _rows(found: Responses, seed: int) -> list[pd.DataFrame]:
    of_layers = found.curves[found.curves["layer"] > 0].assign(seed=seed)
    parts = [
        rows(f"layer {layer}", of_layer, x="eigenvalue", y="share", series="solver")
        for layer, of_layer in of_layers.groupby("layer")
    ]
    by_layer = {"layer": range(1, found.explained.shape[1]), "seed": seed}
    for family in FAMILIES:
        similar = pd.DataFrame(by_layer | {"series": family, "similarity": found.similarity[family][0, 1:]})
        parts.append(rows("similarity of responses", similar, x="layer", y="similarity"))
    explained = pd.DataFrame(by_layer | {"series": THE_MODEL, "explained": found.explained[0, 1:]})
    parts.append(rows("explained", explained, x="layer", y="explained"))
    return parts
