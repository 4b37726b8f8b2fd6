"""Which heads of a language model move tokens, and where they look."""

from typing import Any

import pandas as pd

from interp.attribution.language import HeadStudy
from interp.attribution.language.labels import KINDS, THRESHOLD
from interp.matching.verdict import Verdict
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.language.figures import draw_scores
from interp.report.render import to_svg

MOST_NAMED = 8
"""Most heads of a label that get a finding each: those with the highest scores. The table has all of them."""
CONFIRMED = {
    "alone": "ablating it costs more than ablating other heads of its layer",
    "together": "ablating the heads of this label together costs more than ablating as many others of their layers",
    "no": "but ablating it, alone or with the others of its label, costs no more than ablating other heads",
    "inconclusive": "but its layer has too few other heads to hold its ablation against, and it costs no more than "
    "random directions do",
}


def write_heads(study: HeadStudy) -> Chapter:
    """Scores of all heads, and a finding for each head that bears a label."""
    counts = study.labels["label"].value_counts()
    named = [kind for kind in KINDS if kind in counts]
    found = ", ".join(f"{counts[kind]} {kind}" for kind in named) or "none"
    figure = Figure(
        title="Where heads look",
        caption="Attention on the previous token, on earlier copies of the same token, and on what came after those, "
        f"averaged over the positions that have such a token. Circles: heads that bear the label, {found}; their "
        f"interval lies above {THRESHOLD} and above every head of three untrained twins.",
        svg=to_svg(draw_scores(study.scores, study.labels)),
        table="head_scores",
    )
    return Chapter(
        section=Section(
            title="Which heads move tokens",
            introduction="A previous-token head tells each position what came before it; a duplicate-token head finds "
            "the same token earlier; an induction head finds what came after it (Olsson et al. 2022).",
            figures=(figure,),
            tables=("head_labels",),
        ),
        findings=tuple(finding for kind in named for finding in _findings(study, kind)),
        tables={"head_scores": study.scores, "head_labels": study.labels, "untrained_head_scores": study.untrained},
    )


def _findings(study: HeadStudy, kind: str) -> list[Finding]:
    heads = study.labels[study.labels["label"] == kind].nlargest(MOST_NAMED, "value").sort_values(["layer", "head"])
    untrained = study.untrained[study.untrained["score"] == kind]
    of_kind = study.scores[study.scores["score"] == kind].set_index(["layer", "head"])
    return [
        finding_of_head(head, kind, untrained, float(of_kind.loc[(head["layer"], head["head"]), "chance"]))
        for head in heads.to_dict("records")
    ]


def finding_of_head(head: dict[Any, Any], kind: str, untrained: pd.DataFrame, chance: float) -> Finding:
    """What is claimed of one head, a row of the labels' table.

    ``untrained`` are the scores of this kind in untrained twins.
    """
    how = str(head["confirmed"]).removesuffix(", against directions")
    against = ", here with random directions in place of other heads" if "directions" in head["confirmed"] else ""
    verdict: Verdict = "supported" if how in ("alone", "together") else "inconclusive"
    article = "an" if kind == "induction" else "a"
    needed = "these heads, though not it alone" if how == "together" else "it"
    return Finding(
        id=f"head.layer{head['layer']}.head{head['head']}.{kind}",
        claim=f"Head {head['head']} of layer {head['layer']} is {article} {kind} head, and repeats need {needed}",
        statistic=f"{kind.replace('-', '_')}_score",
        estimate=float(head["value"]),
        ci=(float(head["ci_low"]), float(head["ci_high"])),
        controls={"random_init, highest": float(untrained["value"].max()), "uniform attention": chance},
        verdict=verdict,
        reason=f"its score is above {head['bar']:.2f}, and {CONFIRMED[how]}{against}",
        details={"copying score of its OV circuit": head["copying"], "p-value of that": head["copying_p"]},
    )
