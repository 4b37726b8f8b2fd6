"""Which heads of an interleaved model copy what stands in a neighbouring token, and when they learnt to."""

from typing import Any

import pandas as pd

from interp.attribution import attention_by_offset, copying_scores, label_heads, written_by_heads
from interp.attribution.bars import BARS, CONTROLS
from interp.attribution.neighbours import LEAST_EXAMPLES, WAYS, has_neighbours
from interp.matching.twins import N_TWINS
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter, Part, count_of
from interp.report.copying_figures import draw_evidence, draw_offsets
from interp.report.copying_formed import write_formed
from interp.report.document import Figure, Section
from interp.report.effort import affordable_prompts
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.tasks import Prompts

TITLE = "Which heads copy"
LEAST_PROMPTS, MOST_PROMPTS = 32, 512
HEADS_DRAWN = 4
"""Heads whose attention and evidence are drawn: those that copy, then those that look most at a neighbour."""
PARTS_DRAWN = ("attention", "carried", "restored")


def write_copying(model: HookedRegressor, prompts: Prompts, effects: pd.DataFrame | None, seed: int) -> Chapter | None:
    """Label every head, with what it looks at, carries and is needed for, and follow how copying formed.

    ``prompts`` have one query each; ``effects`` is the table of `ablation_effects`, None for models without hooked
    heads. None for those, for models that read x and y in one token, and for prompts too short to copy in.
    """
    if effects is None or not has_neighbours(model, prompts) or prompts.n_examples < LEAST_EXAMPLES:
        return None
    # The model and its twins are looked at three times each, and the heads of a layer or two intervened on.
    n_passes = 3 * (1 + N_TWINS) + 8 * model.cfg.n_heads
    used = prompts[: affordable_prompts(model, prompts, n_passes, least=LEAST_PROMPTS, most=MOST_PROMPTS)]
    scores = copying_scores(model, used, seed=seed)
    labels = label_heads(scores, effects)
    copying = labels[labels["label"] == "copy"]
    drawn = _drawn(labels)
    offsets = attention_by_offset(model, used, list(drawn.itertuples(index=False, name=None)))
    in_sight = scores[scores["attention_high"] > 0].merge(drawn)
    written = written_by_heads(model, used, _written_of(labels))
    formed = Part() if copying.empty else write_formed(model, prompts, copying.iloc[0])
    figures = (
        Figure(
            title="Where the heads look, from x tokens and from y tokens",
            caption="Share of a head's attention by distance: 1 is the token behind the reader (of an x, its y), -1 "
            f"the one before it (of a y, its x), 0 the reader itself. {_which(copying)}",
            svg=to_svg(draw_offsets(offsets)),
            table="attention_by_offset",
        ),
        Figure(
            title="What they carry, and what depends on it",
            caption="Attention: the neighbour's share of the attention to other tokens. Carried: held-out R2 of a "
            "linear readout of the head's output for what the neighbour holds. Restored: share of the damage to the "
            "prediction, when that is replaced, which the head's clean output undoes. Dotted: what a copying head "
            "exceeds, beside its controls: untrained twins, wrong neighbours, the same head at another token. Ways on "
            f"which the neighbour is out of sight are left out. {count_of(len(used), 'prompt')}.",
            svg=to_svg(draw_evidence(in_sight, {part: BARS[part] for part in PARTS_DRAWN}, CONTROLS)),
            table="copying_scores",
        ),
    )
    return Chapter(
        section=Section(
            title=TITLE,
            introduction=_introduction(labels),
            figures=(*figures, *formed.figures),
            tables=("copying", "written"),
        ),
        findings=(*_findings(labels, scores, written), *formed.findings),
        tables={
            "copying": labels,
            "copying_scores": scores,
            "attention_by_offset": offsets,
            "written": written,
            **formed.tables,
        },
    )


def _drawn(labels: pd.DataFrame) -> pd.DataFrame:
    """Columns layer and head of the heads that are drawn, in the model's order."""
    ranked = labels.assign(copies=labels["label"] == "copy").sort_values(["copies", "attention"], ascending=False)
    return ranked[["layer", "head"]].head(HEADS_DRAWN).sort_values(["layer", "head"])


def _which(copying: pd.DataFrame) -> str:
    if copying.empty:
        return "No head copies; these look most at a neighbour."
    return "Those that copy, and those that look most at a neighbour."


def _introduction(labels: pd.DataFrame) -> str:
    text = "x and y stand in tokens of their own, so that some head has to bring them together. "
    copying = labels[labels["label"] == "copy"]
    if copying.empty:
        undecided = int((labels["label"] == "undecided").sum())
        return text + (f"{count_of(undecided, 'head')} may copy." if undecided else "None of its heads does.")
    return text + " ".join(f"{_name(row)} does: {row['way']}." for _, row in copying.iterrows())


def _name(row: "pd.Series[Any]") -> str:
    return f"Head {row['head']} of layer {row['layer']}"


def _written_of(labels: pd.DataFrame) -> list[tuple[int, int]]:
    """The heads whose weights are shown: those that go a way of copying, or else the one that looks most along one."""
    found = labels[labels["way"] != ""]
    shown = labels.nlargest(1, "attention") if found.empty else found
    return [(int(layer), int(head)) for layer, head in shown[["layer", "head"]].itertuples(index=False)]


def _findings(labels: pd.DataFrame, scores: pd.DataFrame, written: pd.DataFrame) -> list[Finding]:
    found = labels[labels["way"] != ""]
    if found.empty:
        return [_none_finding(labels, scores)]
    return [_copies_finding(row, scores, written) for _, row in found.iterrows()]


def _copies_finding(row: "pd.Series[Any]", scores: pd.DataFrame, written: pd.DataFrame) -> Finding:
    layer, head, way = int(row["layer"]), int(row["head"]), str(row["way"])
    first = way.split(" and ")[0]
    evidence = _of_head(scores[scores["way"] == first], layer, head).iloc[0]
    content = WAYS[first].source
    paths = _of_head(written[written["content"] == content], layer, head)
    own, through = paths[paths["then"] == ""].iloc[0], paths[paths["then"] != ""].nlargest(1, "size")
    verdict: Verdict = "supported" if row["label"] == "copy" else "inconclusive"
    return Finding(
        id=f"head.layer{layer}.head{head}.copies",
        claim=f"{_name(row)} copies: {way}, and the answer needs it for that",
        statistic="share_of_the_damage_undone",
        estimate=float(row["restored"]),
        ci=(float(row["restored_low"]), float(row["restored_high"])),
        controls={"at another token": float(evidence["restored_elsewhere"])},
        verdict=verdict,
        reason="one neighbour's content was replaced and the head's clean output put back beside it; supported when it "
        "looks there, holds that content and undoes the damage above all bars and controls, and the loss rises both "
        "when it is silenced and when it puts out what it would for other contents, more than for another rest",
        details={
            "neighbour's share of its attention to others": float(evidence["attention"]),
            "that of untrained twins": float(evidence["attention_random_init"]),
            "r2 of the neighbour's content in its output": float(evidence["carried"]),
            "r2 in untrained twins": float(evidence["carried_random_init"]),
            "r2 of wrong neighbours' content": float(evidence["carried_wrong"]),
            "rise of the loss with other contents": (float(evidence["swapped_low"]), float(evidence["swapped_high"])),
            "rise of the loss with another rest": float(evidence["swapped_rest"]),
            "rise of the loss when silenced": (float(row["needed_low"]), float(row["needed_high"])),
            "moved, but not needed": str(row["unused"]) or None,
            f"what its weights make of {content}: size, gain in place": (float(own["size"]), float(own["gain"])),
            **{
                f"and what those of {then} make of that": (float(size), float(gain))
                for then, size, gain in through[["then", "size", "gain"]].itertuples(index=False)
            },
        },
    )


def _of_head(table: pd.DataFrame, layer: int, head: int) -> pd.DataFrame:
    return table[(table["layer"] == layer) & (table["head"] == head)]


def _none_finding(labels: pd.DataFrame, scores: pd.DataFrame) -> Finding:
    """No head copies: the best of them, by attention."""
    best = labels.iloc[int(labels["attention"].to_numpy().argmax())]
    excluded = bool((labels["label"] == "none of these").all())
    ways = _of_head(scores, int(best["layer"]), int(best["head"]))
    untrained = float(ways["attention_random_init"].iloc[int(ways["attention"].to_numpy().argmax())])
    return Finding(
        id="head.copying",
        claim="A head copies what stands in a neighbouring token",
        statistic="share_of_attention_to_the_neighbour",
        estimate=float(best["attention"]),
        ci=(float(best["attention_low"]), float(best["attention_high"])),
        controls={"random_init": untrained},
        verdict="refuted" if excluded else "inconclusive",
        reason=f"that of {_name(best).lower()}, the highest; refuted when every way of copying is excluded for every "
        "head",
    )
