"""How layers respond to the eigenvalues of X^T X, and how their best-matching steps grow."""

import numpy as np
import pandas as pd

from interp.matching import CONTROLS, Matches, judge_layers
from interp.matching.match_response import THE_MODEL
from interp.matching.verdict import LayerVerdict
from interp.report.chapter import Part
from interp.report.document import Figure
from interp.report.figures import draw_match
from interp.report.finding import Finding
from interp.report.of_layer import layer_finding
from interp.report.render import show, to_svg
from interp.report.responses import draw_responses

LAYERS_DRAWN = 6
GROWING = ("gd", "newton")
"""Solvers whose steps Fu et al. (2023) hold against the layers."""


def write_responses(matches: Matches, dim: int) -> Part:
    """The spectral response of every layer beside those of the solvers' best iterates, and the verdict on each."""
    table, curves = matches.tables["response"], matches.responses
    drawn = _drawn(curves, dim)
    return Part(
        figures=(
            Figure(
                title="Spectral response of each layer",
                caption="Which share of the least-squares solution a layer's induced weights reach along the "
                "eigendirections of X^T X, against the eigenvalue: 0 knows nothing of a direction, 1 has solved it. "
                "Dots: the model, with 95 % intervals; lines: every solver's best step for the layer, estimated alike "
                "from its own weights. Gradient descent climbs gently over decades of eigenvalues, Newton steeply.",
                svg=to_svg(draw_responses(drawn)),
                table="responses",
            ),
            Figure(
                title="Similarity of responses: layer by solver step",
                caption="2 a.b / (|a|^2 + |b|^2) of the responses over all bins and prefixes. It counts every "
                "direction alike, while errors hardly see those of small eigenvalues. Boxed: the step chosen for the "
                "layer on the selection prompts.",
                svg=to_svg(draw_match(table)),
                table="match_response",
            ),
        ),
        findings=tuple(_finding(verdict, curves) for verdict in judge_layers(table)),
        tables={"match_response": table, "responses": curves},
    )


def write_growth(matches: Matches) -> Part:
    """Whether the best-matching steps of GD and Newton grow linearly or exponentially with the layer."""
    growth = matches.growth
    rows = growth[(growth["measure"] == "errors") & growth["solver"].isin(GROWING) & growth["factor"].notna()]
    return Part(
        findings=tuple(_growth_finding(row) for _, row in rows.iterrows()),
        tables={
            name: table for name, table in (("growth", growth), ("convergence", matches.convergence)) if len(table)
        },
    )


def _drawn(curves: pd.DataFrame, dim: int) -> pd.DataFrame:
    """Some layers, at the prefixes nearest to dim and to twice dim examples."""
    lengths = np.asarray(sorted(curves["n_examples"].unique()))
    chosen = {int(lengths[np.abs(lengths - wanted).argmin()]) for wanted in (dim, 2 * dim)}
    layers = np.unique(np.linspace(1, curves["layer"].max(), LAYERS_DRAWN).round().astype(int))
    return curves[curves["n_examples"].isin(chosen) & curves["layer"].isin(layers)]


def _finding(verdict: LayerVerdict, curves: pd.DataFrame) -> Finding:
    own = curves[(curves["solver"] == THE_MODEL) & (curves["layer"] == verdict.layer)]
    by_prefix = own.groupby("n_examples")[["explained", "outside"]].first()
    explained, outside = (float(by_prefix[name].mean()) for name in ("explained", "outside"))
    return layer_finding(
        verdict,
        suffix=".response",
        what="responds to the eigenvalues of X^T X as",
        statistic="similarity_of_responses",
        reason=f"A function of the eigenvalue alone explains {show(explained)} of what its weights answer to the "
        "examples",
        details={
            "explained by a spectral filter": explained,
            "share of the weights outside the span of the examples": outside,
        },
    )


def _growth_finding(row: "pd.Series[float]") -> Finding:
    law = str(row["law"])
    controls = {name: float(row[name]) for name in CONTROLS if name in row}
    solver = str(row["solver"])
    how = {
        "linear": f"linearly with the layer, by {row['per_layer']:.2g} steps each",
        "exponential": f"exponentially with the layer, by a factor of {row['factor']:.2g} each",
        "undecided": "with the layer by a law that the data do not decide",
    }[law]
    return Finding(
        id=f"algorithm.growth.{solver}",
        claim=f"The step of {solver} that a layer's errors are most similar to grows {how}",
        statistic="aic_of_the_linear_law_minus_that_of_the_exponential",
        estimate=float(row["aic_difference"]),
        ci=(float(row["aic_difference_low"]), float(row["aic_difference_high"])),
        controls={f"{name} (share that decides a law)": value for name, value in controls.items()},
        verdict="supported"
        if law != "undecided" and controls.get("random_init") == 0 == max(controls.values())
        else "inconclusive",
        reason=f"{row['reason']}; supported where no control decides a law. Layers {row['layers']}: steps "
        f"{row['steps']}",
        details={
            "steps per layer (linear law)": float(row["per_layer"]),
            "steps per layer interval": (float(row["per_layer_low"]), float(row["per_layer_high"])),
            "factor per layer (exponential law)": float(row["factor"]),
            "factor interval": (float(row["factor_low"]), float(row["factor_high"])),
        },
    )
