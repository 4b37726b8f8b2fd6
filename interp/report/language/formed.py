"""When the heads of a language model formed: the checkpoints of its training."""

import pandas as pd
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language import HeadStudy
from interp.attribution.language.labels import labelled_heads
from interp.attribution.language.over_training import heads_over_training
from interp.attribution.transition import ChangePoint, change_point
from interp.matching.verdict import Verdict
from interp.report.chapter import Chapter, count_of
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.language.figures import draw_formation
from interp.report.render import to_svg
from interp.report.training import folder_of_checkpoints, thinned
from interp.tasks import TokenSequences
from interp.training import checkpoint_steps

LOSS = "loss on repeat"
SCORES = ("previous-token", "induction")


def write_formed(bridge: TransformerBridge, sequences: TokenSequences, study: HeadStudy) -> Chapter | None:
    """Losses and scores from checkpoint to checkpoint; None for a model without checkpoints, or changed since."""
    folder = folder_of_checkpoints(bridge)
    if folder is None:
        return None
    followed, device = thinned(checkpoint_steps(folder)), next(bridge.parameters()).device
    table = heads_over_training(folder, sequences, checkpoints=followed, device=device)
    changes = {LOSS: _change(table, LOSS)}
    for kind in SCORES:
        if kind in labelled_heads(study.labels):
            changes[kind] = _change(table, kind)
    figure = Figure(
        title="Losses and scores over training",
        caption="Left: loss on the first pass and on repeats; right: the highest score of any head. Dotted: the "
        "updates at which the curves change, the middle of the step that fits each best. Bands are 95 % intervals over "
        "sequences.",
        svg=to_svg(draw_formation(table, {name: change.at for name, change in changes.items()})),
        table="formation",
    )
    return Chapter(
        section=Section(
            title="When they formed",
            introduction=f"The model at {count_of(len(followed), 'checkpoint')} of its training, on the same "
            "sequences.",
            figures=(figure,),
        ),
        findings=(_phase_change(table, changes),) if "induction" in changes else (),
        tables={"formation": table},
    )


def _curve(table: pd.DataFrame, measure: str) -> "pd.Series[float]":
    """A loss, or the highest score of any head, by update."""
    return table[table["measure"] == measure].groupby("update")["value"].max()


def _change(table: pd.DataFrame, measure: str) -> ChangePoint:
    curve = _curve(table, measure)
    return change_point([int(update) for update in curve.index], curve.tolist())


def _phase_change(table: pd.DataFrame, changes: dict[str, ChangePoint]) -> Finding:
    """Whether the loss on repeats fell when induction heads formed, and not before."""
    loss, induction = changes[LOSS], changes["induction"]
    updates = sorted(set(table["update"]))
    apart = abs(updates.index(loss.between[1]) - updates.index(induction.between[1]))
    sudden = loss.sudden and induction.sudden
    verdict: Verdict = "refuted" if apart > 1 else "supported" if sudden else "inconclusive"
    details = {f"{name}: changes between updates": change.between for name, change in changes.items()} | {
        f"{name}: before and after": (change.before, change.after) for name, change in changes.items()
    }
    first = _curve(table, "loss on first")
    return Finding(
        id="learned.phase_change",
        claim=f"The loss on repeats fell (between updates {loss.between[0]} and {loss.between[1]}) when induction "
        f"heads formed (between {induction.between[0]} and {induction.between[1]})",
        statistic="updates_from_the_one_change_to_the_other",
        estimate=loss.at - induction.at,
        ci=(float(loss.between[0] - induction.between[1]), float(loss.between[1] - induction.between[0])),
        controls={"change of the loss on the first pass": float(first.iloc[-1] - first.iloc[0])},
        verdict=verdict,
        reason="the interval is what the spacing of checkpoints leaves open, for one run has no other; supported when "
        "both curves change suddenly and at most one checkpoint apart, refuted when further",
        details=details,
    )
