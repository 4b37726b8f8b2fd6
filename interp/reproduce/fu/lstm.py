"""An LSTM on the same prompts: its layers do something else (Fu et al., section 5.5)."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching import Family, layer_predictions
from interp.matching.pipeline import resampled_means
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    Contest,
    contest,
    difference,
    left_open_unless,
    models_of,
    newton_family,
    prompts_for,
    runs_of,
    untrained,
)
from interp.reproduce.fu.layers import LEARNED, NOTHING_LEARNED, determined_errors, first_improved, largest_ratio
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import GradientDescent, OnlineGradientDescent
from interp.tasks import Prompts
from probes import Interval
from probes.intervals import percentiles

FAMILIES = (
    newton_family(),
    Family("gd", (GradientDescent(), GradientDescent(normalize="sum")), (0, *(2**k for k in range(13))), fixed=False),
    Family(
        "online-gd",
        (OnlineGradientDescent(), OnlineGradientDescent(step_size="normalised")),
        (1,),  # one pass: an online algorithm sees each example once
        fixed=False,
    ),
)
"""Step sizes are fitted: neither kind of gradient descent is to lose by one that does not suit it."""
TRANSFORMER, LSTM = "transformer", "lstm"
PANELS = (
    Panel(name="error by layer", x="layer", y="squared error / dim", y_scale="log"),
    Panel(name="similarity of errors: transformer", x="layer", y="at the best step", y_limits=(0, 1.05)),
    Panel(name="similarity of errors: lstm", x="layer", y="at the best step", y_limits=(0, 1.05)),
)
Errors = Float[NDArray[np.float64], "layer prompt"]


def reproduce(lab: Lab) -> Reproduction:
    """Errors by layer of both architectures, and who their layers are like."""
    models = {TRANSFORMER: models_of(runs_of(lab)), LSTM: models_of(runs_of(lab, "-lstm"))}
    prompts = prompts_for(lab, models[TRANSFORMER][0][1])
    errors = {name: [_errors(model, prompts) for _, model in of_name] for name, of_name in models.items()}
    found = {name: [contest(model, prompts, FAMILIES) for _, model in of_name] for name, of_name in models.items()}
    zero = determined_errors(layer_predictions(models[LSTM][0][1], prompts).zero())[0]
    table = joined(
        [
            part
            for name, of_name in models.items()
            for (seed, _), of_run, one in zip(of_name, errors[name], found[name], strict=True)
            for part in _rows(name, seed, of_run / prompts.dim, one)
        ],
    )
    learned = all(of_run[-1].mean() < LEARNED * zero.mean() for of_run in errors[LSTM])
    return Reproduction(
        name="fu-lstm",
        title="The layers of an LSTM",
        source=f"{SOURCE}, section 5.5",
        findings=tuple(
            left_open_unless(learned, NOTHING_LEARNED, finding)
            for finding in (
                *_progress(errors),
                _online(found, contest(untrained(models[LSTM][0][1]), prompts, FAMILIES)),
            )
        ),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {name: len(of_name) for name, of_name in models.items()},
            "prompts": len(prompts),
        },
    )


def _errors(model: HookedRegressor, prompts: Prompts) -> Errors:
    return determined_errors(layer_predictions(model, prompts))


def left_after(errors: Errors) -> Interval:
    """What the layers after the first that knows anything leave of its error."""
    first = first_improved(errors)
    drawn = resampled_means(errors)
    low, high = percentiles(drawn[:, -1] / drawn[:, first])
    return Interval(float(errors[-1].mean() / errors[first].mean()), float(low), float(high))


def _progress(errors: dict[str, list[Errors]]) -> tuple[Finding, ...]:
    details = {
        f"error, by layer: {name}": [of_run.mean(-1).tolist() for of_run in of_name] for name, of_name in errors.items()
    }
    largest, left = (
        {name: [measure(of_run) for of_run in of_name] for name, of_name in errors.items()}
        for measure in (lambda of_run: largest_ratio(of_run, first_improved(of_run) + 1), left_after)
    )
    ratio = [
        Interval(lstm.estimate / other.estimate, lstm.low / other.high, lstm.high / other.low)
        for lstm, other in zip(left[LSTM], left[TRANSFORMER], strict=False)
    ]
    return (
        claim_range(
            "fu-lstm.progress",
            "After the first that knows anything, some layer of the LSTM errs no less than its predecessor, to 2 %",
            "largest_ratio_of_errors",
            largest[LSTM],
            ratio=True,
            low=0.98,
            paper="the layers of an LSTM do not improve",
            controls={TRANSFORMER: largest[TRANSFORMER][0].estimate},
            details=details,
        ),
        claim_range(
            "fu-lstm.left",
            "What later layers leave of the error of the first that knows anything is at least 3 times what the "
            "transformer's leave",
            "share_of_error_left_relative_to_the_transformer",
            ratio,
            ratio=True,
            low=3.0,
            paper="the layers of an LSTM do not improve",
            details={"share left": {name: left[name][0].estimate for name in left}},
        ),
    )


def _online(found: dict[str, list[Contest]], twin: Contest) -> Finding:
    def ahead(one: Contest) -> Interval:
        last = {family.name: one.similarity(family.name)[-1] for family in FAMILIES}
        return difference([last["online-gd"]], [last["newton"], last["gd"]])

    return claim_range(
        "fu-lstm.online",
        "The LSTM's last layer errs more like online gradient descent than like Newton's method or gradient descent",
        "difference_of_similarities",
        [ahead(one) for one in found[LSTM]],
        low=0.0,
        paper="most similar to online gradient descent",
        controls={TRANSFORMER: ahead(found[TRANSFORMER][0]).estimate, "random_init": ahead(twin).estimate},
        details={
            f"similarity, last layer: {name}": {
                family.name: [float(one.similarity(family.name)[-1].mean()) for one in of_name] for family in FAMILIES
            }
            for name, of_name in found.items()
        }
        | {"online-gd": found[LSTM][0].fitted("online-gd").solver.describe()},
    )


def _rows(name: str, seed: int, errors: Errors, found: Contest) -> list[pd.DataFrame]:
    by_layer = pd.DataFrame({"layer": range(len(errors)), "error": errors.mean(-1), "series": name, "seed": seed})
    return [
        rows("error by layer", by_layer, x="layer", y="error"),
        *(found.rows(f"similarity of errors: {name}", family.name, seed) for family in FAMILIES),
    ]
