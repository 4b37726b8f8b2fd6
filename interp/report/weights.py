"""The weights of linear-attention layers beside those of the construction, and the path between the two."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from interp.matching import effective_steps, interpolate_with_gd, loss_along_path
from interp.matching.descents import Descent, read_off
from interp.matching.interpolation import constructed_products, scaled_products
from interp.matching.readouts import model_answers, problems_of, prompt_losses
from interp.matching.twins import make_twins
from interp.matching.verdict import THRESHOLD, Verdict
from interp.models.transformer import RegressionTransformer
from interp.report.chapter import Part
from interp.report.curves import draw_path
from interp.report.document import Figure
from interp.report.figures import draw_products
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.tasks import Prompts
from probes import Interval, bootstrap_ratio

INTERPOLATION_TOLERANCE = 0.01
INFORMED = 0.9
"""A model whose loss is above this multiple of that of predicting 0 has no algorithm whose weights could be met."""
LAYERS_DRAWN = 6


def write_weights(model: RegressionTransformer, prompts: Prompts, descents: Sequence[Descent], rival: Descent) -> Part:
    """Products and path for one-headed models of which `effective_steps` speaks.

    ``rival`` is the algorithm that the model is held against; the path is followed to it and to all ``descents``.
    """
    products = _tidy_products(model, rival)
    numbers = np.unique(np.linspace(1, products["layer"].max(), LAYERS_DRAWN).round().astype(int))
    path = pd.concat(
        [
            loss_along_path(model, prompts, list(descent.eta_over_n), gamma=list(descent.gamma)).assign(
                construction=descent.name
            )
            for descent in dict.fromkeys([rival, *descents])
        ],
        ignore_index=True,
    )[["construction", "share", "loss", "ci_low", "ci_high"]]
    shared = " The layers share these weights." if model.cfg.looped and model.cfg.n_layers > 1 else ""
    side = "first" if model.cfg.y_index == 0 else "last"
    return Part(
        figures=(
            Figure(
                title="The weights beside the construction",
                caption=f"The products W_Q W_K^T and W_V W_O of each layer, and those of {rival.name}; the {side} "
                "row and column are y. The trained W_Q W_K^T is divided by the mean of its x diagonal and W_V W_O "
                f"multiplied by it, which changes no prediction.{shared}",
                svg=to_svg(draw_products(products[products["layer"].isin(numbers)])),
                table="products",
            ),
            Figure(
                title="Loss on the straight path from the trained weights to the construction",
                caption="Half the mean squared error of the products mixed, from the trained ones (0) to the "
                "construction's (1); bands are 95 % intervals over prompts. A flat line says that what training added "
                "to the construction does not matter to the loss.",
                svg=to_svg(draw_path(path)),
                table="path",
            ),
        ),
        findings=(_interpolation_finding(model, prompts, rival, path), _construction_finding(model, prompts)),
        tables={"products": products, "path": path},
    )


def _tidy_products(model: RegressionTransformer, rival: Descent) -> pd.DataFrame:
    """Columns layer, product, weights (trained, constructed), row, column, value; looped layers once."""
    n_layers = 1 if model.cfg.looped else model.cfg.n_layers
    pairs = {
        "trained": scaled_products(model),
        "constructed": constructed_products(model, list(rival.eta_over_n), list(rival.gamma)),
    }
    parts = []
    for weights, both in pairs.items():
        for product, matrices in zip(("W_Q W_K^T", "W_V W_O"), both, strict=True):
            values = matrices[:n_layers].numpy()
            layer, row, column = (axis.ravel() for axis in np.indices(values.shape))
            cells = {"row": row, "column": column, "value": values.ravel()}
            parts.append(pd.DataFrame({"layer": layer + 1, "product": product, "weights": weights, **cells}))
    return pd.concat(parts, ignore_index=True)


def _interpolation_finding(
    model: RegressionTransformer, prompts: Prompts, rival: Descent, path: pd.DataFrame
) -> Finding:
    def halfway(subject: RegressionTransformer) -> np.ndarray:
        return prompt_losses(interpolate_with_gd(subject, list(rival.eta_over_n), gamma=list(rival.gamma)), prompts)

    ours, mixed = prompt_losses(model, prompts), halfway(model)
    ratio = bootstrap_ratio(mixed, ours)
    zero = 0.5 * problems_of(model, prompts).targets.square().mean(-1)
    informed = bootstrap_ratio(ours, np.asarray(zero)).high < INFORMED
    verdict: Verdict = "inconclusive"
    if ratio.low > 1 + INTERPOLATION_TOLERANCE:
        verdict = "refuted"
    elif ratio.high <= 1 + INTERPOLATION_TOLERANCE and informed:
        verdict = "supported"
    twins = cast(Sequence[RegressionTransformer], make_twins(model))  # a twin is of its model's class
    to_rival = path[path["construction"] == rival.name]
    shares, on_path = to_rival["share"].to_numpy(), to_rival["loss"].to_numpy()
    return Finding(
        id="algorithm.interpolation",
        claim=f"Weights halfway between the trained ones and those of {rival.name} predict as well as the trained",
        statistic="loss_relative_to_the_model",
        estimate=ratio.estimate,
        ci=(ratio.low, ratio.high),
        controls={"random_init": float(np.mean([bootstrap_ratio(halfway(twin), ours).estimate for twin in twins]))},
        verdict=verdict,
        reason=f"supported when the interval stays below {1 + INTERPOLATION_TOLERANCE} and the model's own loss below "
        f"{INFORMED} of that of predicting 0; the control mixes untrained weights in"
        + ("; the steps were tuned on these very prompts" if rival.name.startswith("tuned") else ""),
        details={
            "loss of the interpolated weights": float(mixed.mean()),
            "loss of the model": float(ours.mean()),
            "highest loss on the path": float(on_path.max()),
            "at share": float(shares[on_path.argmax()]),
            "eta/n": rival.eta_over_n,
            "gamma": rival.gamma,
        },
    )


def _construction_finding(model: RegressionTransformer, prompts: Prompts) -> Finding:
    """Whether what training put beside the construction matters: R2 of the bare construction for the model's answers.

    Untrained twins are held against their own.
    """
    steps = effective_steps(model)
    r2 = _r2_of_own_construction(model, prompts)
    twins = [_r2_of_own_construction(cast(RegressionTransformer, twin), prompts) for twin in make_twins(model)]
    bar = max(THRESHOLD, *(twin.high for twin in twins))
    relative = bootstrap_ratio(prompt_losses(_own_construction(model), prompts), prompt_losses(model, prompts))
    numbers = "the step size" if len(steps) == 1 else "a step size and a gamma per layer"
    return Finding(
        id="algorithm.construction",
        claim=f"Given {numbers} read off the weights, the bare construction answers as the model does",
        statistic="r2_of_its_answers",
        estimate=r2.estimate,
        ci=(r2.low, r2.high),
        controls={"random_init": float(np.mean([twin.estimate for twin in twins]))},
        verdict="supported" if r2.low > bar else "refuted" if r2.high < THRESHOLD else "inconclusive",
        reason=f"supported above {THRESHOLD} and above every untrained twin against its own construction",
        details={
            "eta/n": [step.eta_over_n for step in steps],
            "gamma": [step.gamma for step in steps],
            "share of each layer's y update off the construction": [step.off_structure for step in steps],
            "loss of the construction relative to the model's": relative.estimate,
            "loss of the construction relative to the model's, interval": (relative.low, relative.high),
        },
    )


def _own_construction(model: RegressionTransformer) -> RegressionTransformer:
    own = read_off(model)
    return interpolate_with_gd(model, list(own.eta_over_n), 1.0, gamma=list(own.gamma))


def _r2_of_own_construction(model: RegressionTransformer, prompts: Prompts) -> Interval:
    ours, bare = model_answers(model, prompts), model_answers(_own_construction(model), prompts)
    unexplained = bootstrap_ratio((ours - bare).square().sum(-1).cpu(), ours.square().sum(-1).cpu())
    return Interval(1 - unexplained.estimate, 1 - unexplained.high, 1 - unexplained.low)
