"""What each layer holds: linear readouts."""

import pandas as pd

from interp.matching import probe_layers
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.figures import draw_readouts
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.tasks import Prompts

WORDS = {
    "next_y": "the next y",
    "w": "the hidden weight vector w",
    "w_ols": "the least-squares weight vector",
    "xty": "X^T y of the examples",
}
DECODABLE = 0.1
"""R2 below which a quantity does not count as decodable."""


def write_layers(model: HookedRegressor, prompts: Prompts, seed: int) -> Chapter:
    """Probe every layer for the answer and for the quantities that algorithms would need."""
    targets = [name for name in WORDS if name != "w" or prompts.w is not None]
    table = probe_layers(model, prompts, targets, seed=seed)
    figure = Figure(
        title="Held-out R2 of linear readouts",
        caption="One panel per target; layer 0 is the embedding. A ridge readout is fitted to the residual stream at "
        "the query and scored on other prompts; the band is the 95 % interval. Dashed: the same on untrained twins, "
        "and with targets of other prompts. What a query's state holds only as a product with the query itself (as "
        "GD's weights are) is not decodable linearly.",
        svg=to_svg(draw_readouts(table)),
        table="readouts",
    )
    return Chapter(
        section=Section(
            title="What each layer holds",
            introduction="Which quantities can be read linearly from the stream where the prediction is read.",
            figures=(figure,),
        ),
        findings=tuple(_finding(name, table[table["target"] == name]) for name in targets),
        tables={"readouts": table},
    )


def _finding(target: str, rows: pd.DataFrame) -> Finding:
    best = rows.iloc[int(rows["r2"].argmax())]
    bar = max(DECODABLE, best["random_init_high"], best["shuffled_targets_high"])
    verdict: Verdict = "supported" if best["ci_low"] > bar else "refuted" if best["ci_high"] < bar else "inconclusive"
    return Finding(
        id=f"layer.{target}",
        claim=f"{WORDS[target][0].upper()}{WORDS[target][1:]} can be read linearly from layer {best['layer']}",
        statistic="r2",
        estimate=float(best["r2"]),
        ci=(float(best["ci_low"]), float(best["ci_high"])),
        controls={name: float(best[name]) for name in ("random_init", "shuffled_targets")},
        verdict=verdict,
        reason=f"the layer that reads best; supported above an R2 of {DECODABLE} and above the upper ends of both "
        "controls",
        details={"cosine": float(best["cosine"])},
    )
