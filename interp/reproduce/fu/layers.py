"""The layers of a transformer improve on their predecessors (Fu et al., section 4.1)."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching import LayerPredictions, layer_predictions
from interp.matching.apart import largest_of
from interp.matching.layer_errors import error_table
from interp.matching.pipeline import resampled_means
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import layers_named, left_open_unless, models_of, prompts_for, runs_of, untrained
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import make_solver
from probes import Interval, bootstrap_ratio

TOLERANCE = 1.02
"""A layer whose error is at most this multiple of its predecessor's is no worse."""
LEARNED = 0.5
"""A model whose last layer keeps more than this share of the error of predicting zero has no layers to compare."""
NOTHING_LEARNED = f"the last layer keeps more than {LEARNED:.0%} of the error of predicting zero: nothing was learned"
ALGORITHMS = ("ols", "zero")
PANELS = (
    Panel(name="error by examples", x="examples", y="squared error / dim", y_scale="log"),
    Panel(name="error by layer", x="layer", y="squared error / dim", y_scale="log"),
)


def reproduce(lab: Lab) -> Reproduction:
    """Errors of every layer's readout, against examples and against depth."""
    models = models_of(runs_of(lab))
    prompts = prompts_for(lab, models[0][1])
    found = [layer_predictions(model, prompts) for _, model in models]
    twin = layer_predictions(untrained(models[0][1]), prompts)
    table = joined(
        [
            *(part for (seed, _), of_run in zip(models, found, strict=True) for part in _layer_rows(of_run, seed)),
            *_algorithm_rows(found[0]),
        ],
    )
    return Reproduction(
        name="fu-layers",
        title="Every layer improves on its predecessor",
        source=f"{SOURCE}, section 4.1",
        findings=_findings(found, twin),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(found), "prompts": len(prompts)},
    )


def determined(found: LayerPredictions) -> NDArray[np.bool_]:
    """Columns with dim + 1 to 2 dim examples: enough to determine the weights (all, where there are none of these)."""
    dim = found.problems.xs.shape[2]
    inside = (found.n_examples > dim) & (found.n_examples <= 2 * dim)
    return inside if inside.any() else np.ones_like(inside)


def determined_errors(found: LayerPredictions) -> Float[NDArray[np.float64], "layer prompt"]:
    """Mean squared errors of the layers over these columns."""
    return found.squared_errors()[:, :, determined(found)].mean(-1)


def largest_ratio(errors: Float[NDArray[np.float64], "layer prompt"], first: int = 1) -> Interval:
    """The largest ratio of a layer's error to its predecessor's, of layers ``first``, ...; picked from many.

    No number where there is no such layer.
    """
    if first >= len(errors):
        return Interval(math.nan, math.nan, math.nan)
    logs, drawn = (np.log(values) for values in (errors.mean(-1), resampled_means(errors)))
    ratios, resampled = np.diff(logs)[first - 1 :], np.diff(drawn, axis=-1)[:, first - 1 :]
    largest = largest_of(ratios, resampled)
    return Interval(math.exp(largest.estimate), math.exp(largest.low), math.exp(largest.high))


def first_improved(errors: Float[NDArray[np.float64], "layer prompt"]) -> int:
    """The first layer that errs less than the embedding, which knows no answer, by more than a twentieth."""
    left = errors.mean(-1) / errors[0].mean()
    return int(np.argmax(left < 0.95)) if (left < 0.95).any() else 1


def _findings(found: list[LayerPredictions], twin: LayerPredictions) -> tuple[Finding, ...]:
    errors = [determined_errors(of_run) for of_run in found]
    zero = determined_errors(found[0].zero())[0]
    left = [bootstrap_ratio(of_run[-1], zero) for of_run in errors]
    of_twin = determined_errors(twin)
    dim = found[0].problems.xs.shape[2]
    learned = all(interval.high < LEARNED for interval in left)
    details = {"error / dim, by layer": [(of_run.mean(-1) / dim).tolist() for of_run in errors]}
    first = [first_improved(of_run) for of_run in errors]
    progress = (
        claim_range(
            "fu-layers.progress",
            f"No layer errs more than its predecessor, to 2 %, at {dim + 1} to {2 * dim} examples",
            "largest_ratio_of_errors",
            [largest_ratio(of_run) for of_run in errors],
            ratio=True,
            high=TOLERANCE,
            paper="predictions improve from layer to layer",
            controls={"random_init": largest_ratio(of_twin).estimate},
            details=details,
        ),
        claim_range(
            "fu-layers.strict",
            f"From {layers_named(first)} on, the first to know anything, every layer errs less than its predecessor",
            "largest_ratio_of_errors",
            [largest_ratio(of_run, start) for of_run, start in zip(errors, first, strict=True)],
            ratio=True,
            high=1.0,
            paper="predictions improve from layer to layer",
            details=details,
        ),
    )
    return (
        *(left_open_unless(learned, NOTHING_LEARNED, finding) for finding in progress),
        claim_range(
            "fu-layers.learned",
            "The last layer keeps less than a twentieth of the error of predicting zero",
            "error_relative_to_predicting_zero",
            left,
            ratio=True,
            high=0.05,
            paper="near least squares, whose error is 0 there",
            controls={"random_init": bootstrap_ratio(of_twin[-1], zero).estimate},
        ),
    )


def _layer_rows(found: LayerPredictions, seed: int) -> list[pd.DataFrame]:
    dim = found.problems.xs.shape[2]
    by_examples = error_table(found.squared_errors() / dim, found.n_examples).assign(seed=seed)
    by_examples["series"] = [f"layer {layer}" for layer in by_examples["layer"]]
    means = determined_errors(found).mean(-1) / dim
    by_layer = pd.DataFrame({"layer": range(len(means)), "error": means, "seed": seed, "series": "the model"})
    return [
        rows("error by examples", by_examples, x="n_examples", y="error"),
        rows("error by layer", by_layer, x="layer", y="error"),
    ]


def _algorithm_rows(found: LayerPredictions) -> list[pd.DataFrame]:
    """Least squares and zero beside the layers; where an error is 0 to rounding, a logarithmic axis ends above it."""
    dim, n_layers = found.problems.xs.shape[2], len(found.values)
    parts = []
    for name in ALGORITHMS:
        predictions = make_solver(name).predict(found.problems, (1,))
        squared = found.squared_errors(predictions) / dim
        by_examples = error_table(squared, found.n_examples).assign(series=name)
        level = squared[0][:, determined(found)].mean()
        by_layer = pd.DataFrame({"layer": [0, n_layers - 1], "error": level, "series": name})
        for panel, table, x in (
            ("error by examples", by_examples, "n_examples"),
            ("error by layer", by_layer, "layer"),
        ):
            parts.append(rows(panel, table[table["error"] > 1e-9], x=x, y="error"))
    return parts
