"""How wide a transformer has to be: of the order of the inputs' dim (Fu et al., section 5.4)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching.readouts import model_answers, problems_of
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.fu import SOURCE
from interp.reproduce.fu.common import (
    contest,
    left_open_unless,
    models_of,
    newton_family,
    prompts_for,
    runs_of,
)
from interp.reproduce.lab import Lab
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.tasks import Prompts
from interp.training.recipes import HIDDEN_SIZES
from probes import bootstrap_mean, bootstrap_ratio

MANY = 3.0
"""So many times the error is many times the error."""
PANELS = (
    Panel(name="error", x="hidden size", y="squared error / dim at 2 dim examples", x_scale="log", y_scale="log"),
    Panel(name="similarity with newton", x="hidden size", y="similarity of errors, last layer", x_scale="log"),
)


@dataclass(frozen=True)
class Wide:
    """One model of a width."""

    width: int
    seed: int
    errors: Float[NDArray[np.float64], " prompt"]
    """Squared errors at 2 dim examples."""
    similarity: Float[NDArray[np.float64], " prompt"]
    """Of errors, of the last layer with the Newton iterate that suits it best."""


def reproduce(lab: Lab) -> Reproduction:
    """Error and similarity with Newton against the width of the residual stream."""
    *narrower, _ = widths = HIDDEN_SIZES["tiny" if lab.quick else "standard"]
    models = {width: models_of(runs_of(lab, f"-width{width}")) for width in narrower}
    models[widths[-1]] = models_of(runs_of(lab))
    prompts = prompts_for(lab, models[widths[-1]][0][1])
    found = {
        width: [_measured(model, prompts, width, seed) for seed, model in of_width]
        for width, of_width in models.items()
    }
    series = pd.DataFrame(
        [
            {
                "width": one.width,
                "seed": one.seed,
                "series": "the model",
                "error": one.errors.mean() / prompts.dim,
                "similarity": one.similarity.mean(),
            }
            for of_width in found.values()
            for one in of_width
        ]
    )
    table = joined(
        [
            rows("error", series, x="width", y="error"),
            rows("similarity with newton", series, x="width", y="similarity"),
        ],
    )
    return Reproduction(
        name="fu-hidden-size",
        title="How wide a transformer has to be",
        source=f"{SOURCE}, section 5.4",
        findings=_findings(found, prompts),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {w: len(of_width) for w, of_width in found.items()},
            "prompts": len(prompts),
        },
    )


def _measured(model: HookedRegressor, prompts: Prompts, width: int, seed: int) -> Wide:
    judged = prompts.halves()[1]
    answers, targets = model_answers(model, judged), problems_of(model, judged).targets
    at_end = 2 * prompts.dim  # the column with as many examples
    return Wide(
        width=width,
        seed=seed,
        errors=np.asarray((answers.to(targets) - targets)[:, at_end].square().cpu()),
        similarity=contest(model, prompts, [newton_family()]).similarity("newton")[-1],
    )


def _findings(found: dict[int, list[Wide]], prompts: Prompts) -> tuple[Finding, ...]:
    widths, dim = sorted(found), prompts.dim
    widest = found[widths[-1]]
    narrow = max(width for width in widths if width < dim)
    enough = min(width for width in widths if width > dim)
    zero = float(prompts.halves()[1].ys[:, 2 * dim].square().mean())
    of_widest = float(np.mean([one.errors.mean() for one in widest]))
    learned = of_widest < 0.5 * zero
    details = {
        "error / dim, by hidden size": {
            str(width): float(np.mean([one.errors.mean() for one in found[width]])) / dim for width in widths
        },
        "similarity with newton, by hidden size": {
            str(width): float(np.mean([one.similarity.mean() for one in found[width]])) for width in widths
        },
        "error of predicting zero / dim": zero / dim,
    }

    def ratio(width: int, id: str, claim: str, low: float = -np.inf, high: float = np.inf, paper: str = "") -> Finding:
        pairs = zip(found[width], widest, strict=False)
        finding = claim_range(
            f"fu-hidden-size.{id}",
            claim,
            "error_relative_to_the_widest",
            [bootstrap_ratio(one.errors, best.errors) for one, best in pairs],
            ratio=True,
            low=low,
            high=high,
            paper=paper,
            controls={"predicting zero": zero / of_widest},
            details=details,
        )
        return left_open_unless(learned, "the widest model keeps more than half the error of predicting zero", finding)

    return (
        ratio(
            narrow,
            "narrow",
            f"Narrower than dim {dim}: hidden size {narrow} errs at least {MANY:g} times as much as {widths[-1]}, at "
            f"{2 * dim} examples",
            low=MANY,
            paper="fails to reach a good solution",
        ),
        ratio(
            enough,
            "enough",
            f"Of the order of dim {dim}: hidden size {enough} errs less than {MANY:g} times as much as {widths[-1]}",
            high=MANY,
            paper="a hidden size of the order of dim suffices",
        ),
        left_open_unless(
            learned,
            "the widest model keeps more than half the error of predicting zero",
            claim_range(
                "fu-hidden-size.newton",
                f"The last layer is more similar to Newton's iterates at hidden size {widths[-1]} than at {narrow}",
                "difference_of_similarities",
                [
                    bootstrap_mean(best.similarity - one.similarity)
                    for one, best in zip(found[narrow], widest, strict=False)
                ],
                low=0.0,
                details=details,
            ),
        ),
    )
