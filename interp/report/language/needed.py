"""What breaks in a language model without the heads that were found."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language import HeadStudy
from interp.attribution.language.ablation import MODES, heads_ablated, mean_outputs
from interp.attribution.language.controls import names_of
from interp.attribution.language.labels import labelled_heads
from interp.attribution.language.losses import parts_of
from interp.attribution.language.observe import observe
from interp.matching.verdict import Verdict
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.language.figures import draw_ablations
from interp.report.render import to_svg
from interp.tasks import TokenSequences
from probes import Interval, bootstrap_ratio

ALL_OF_IT = 0.9
"""Share of the gain on repeats that counts as all of it."""


def write_needed(
    bridge: TransformerBridge, finding: TokenSequences, testing: TokenSequences, study: HeadStudy
) -> Chapter | None:
    """Ablations of the heads with labels and cuts of the edges between them; None where no head has a label.

    ``finding`` are the sequences that heads were found on, and ``testing`` those of the interventions. Means come from
    the first: a mean over the very sequences that it stands in for would hand on part of what was ablated.
    """
    sets = labelled_heads(study.labels)
    if not sets or study.ablation is None or study.edges is None:
        return None
    findings = [_needed(study.ablation, kind, names_of(heads)) for kind, heads in sets.items()]
    for kind in ("induction", "previous-token"):
        if kind in sets:
            findings.append(_all_of_it(bridge, finding, testing, kind, study))
    if len(study.edges):
        findings.append(_edge(study.edges))
    figure = Figure(
        title="What breaks without them",
        caption="Change of the loss when heads are silenced (their output set to 0), with 95 % intervals over "
        "sequences that had no part in finding them. Control: as many other heads of the same layers or, where there "
        "are too few, random directions of the same size; the bar spans 95 % of the draws. Means in place of zeros "
        "are in the table.",
        svg=to_svg(draw_ablations(study.ablation)),
        table="ablation",
    )
    return Chapter(
        section=Section(
            title="What breaks without them",
            introduction="Heads are silenced, and edges between them cut: what previous-token heads write is kept out "
            "of the keys of induction heads, and heads are kept from looking where they look.",
            figures=(figure,),
            tables=("edges",) if len(study.edges) else (),
        ),
        findings=tuple(findings),
        tables={"ablation": study.ablation, "edges": study.edges},
    )


def _needed(ablation: pd.DataFrame, kind: str, heads: str) -> Finding:
    rows = ablation[(ablation["set"] == kind) & (ablation["heads"] == heads)]
    on_repeats = rows[rows["part"] == "repeat"]
    zero, with_means = (_row(on_repeats, mode=mode) for mode in MODES)
    first = _row(rows, part="first", mode="zero")
    verdict: Verdict = "inconclusive"
    if (on_repeats["verdict"] == "clear").all():
        verdict = "supported"
    elif (on_repeats["ci_high"] <= on_repeats["random_high"]).all():
        verdict = "refuted"
    against_heads = zero["control"] == "heads"
    control = "other heads" if against_heads else "random directions"
    otherwise = "without as many others" if against_heads else "without random directions of the same size"
    return Finding(
        id=f"head.{kind}.needed",
        claim=f"Repeats need its {kind} heads ({heads}): without them the loss there rises more than {otherwise}",
        statistic="rise_of_the_loss_on_repeats",
        estimate=zero["change"],
        ci=(zero["ci_low"], zero["ci_high"]),
        controls={control: zero["random"], "the same heads, on the first pass": first["change"]},
        verdict=verdict,
        reason=f"supported when the interval is above 95 % of {zero['n_random']} draws of {control}, both with the "
        "outputs set to 0 and with their means in place; refuted when it ends below",
        details={"with means in place": with_means["change"]},
    )


def _all_of_it(
    bridge: TransformerBridge, finding: TokenSequences, testing: TokenSequences, kind: str, study: HeadStudy
) -> Finding:
    """How much of what repeats gain over the first pass is lost without the heads of a kind.

    The first pass is that of the same ablated model: a head may do harm there.
    """
    heads = labelled_heads(study.labels)[kind]
    means = mean_outputs(bridge, finding)
    gain = _gain(bridge, testing)

    def lost(instead: Tensor | None) -> Interval:
        with heads_ablated(bridge, heads, instead):
            left = _gain(bridge, testing)
        return bootstrap_ratio(gain - left, gain)

    share, to_zero = lost(means), lost(None)
    return Finding(
        id=f"head.{kind}.all_of_it",
        claim=f"Without its {kind} heads ({names_of(heads)}) repeats are predicted no better than the first pass",
        statistic="share_of_the_gain_on_repeats_that_is_lost",
        estimate=share.estimate,
        ci=(share.low, share.high),
        verdict="supported" if share.low >= ALL_OF_IT else "refuted" if share.high < ALL_OF_IT else "inconclusive",
        reason=f"outputs replaced by their means over other sequences; supported from {ALL_OF_IT:.0%} on",
        details={"with outputs set to 0": (to_zero.low, to_zero.high)},
    )


def _gain(bridge: TransformerBridge, sequences: TokenSequences) -> Float[np.ndarray, " prompt"]:
    """How much lower the loss is on repeats than in the first pass."""
    parts = parts_of(observe(bridge, sequences), sequences)
    return parts["first"] - parts["repeat"]


def _edge(edges: pd.DataFrame) -> Finding:
    """Whether induction heads find their keys through what previous-token heads write."""
    cut = edges[edges["edge"] == "key input"]
    widest = max(cut["cut"].unique(), key=lambda heads: len(heads.split()))
    rows = cut[cut["cut"] == widest]
    loss = _row(rows, measure="loss on repeat")
    scores = rows[rows["measure"] == "induction"]
    details: dict[str, Any] = {
        f"induction score of {of}, before and after": (before, before + change)
        for of, before, change in scores[["of", "before", "change"]].itertuples(index=False)
    }
    verdict: Verdict = "inconclusive"
    if loss["verdict"] == "clear" and (scores["verdict"] == "clear").any():
        verdict = "supported"
    elif loss["ci_high"] <= loss["random_high"]:
        verdict = "refuted"
    return Finding(
        id="head.induction.reads_previous",
        claim=f"Induction heads find their keys by what previous-token heads ({widest}) write there",
        statistic="rise_of_the_loss_on_repeats_when_the_edge_is_cut",
        estimate=loss["change"],
        ci=(loss["ci_low"], loss["ci_high"]),
        controls={"edges from other heads": loss["random"]},
        verdict=verdict,
        reason="what the heads write is taken out of the induction heads' keys alone; supported when the loss rises "
        "and an induction score falls further than for other heads of the same layers",
        details=details,
    )


def _row(table: pd.DataFrame, **where: str) -> dict[Any, Any]:
    """The one row of a table with these values."""
    for column, value in where.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row
