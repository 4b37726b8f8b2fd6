"""What the heads of a language model carry, read off their weights."""

import pandas as pd

from interp.attribution.language import HeadStudy
from interp.attribution.language.labels import COPIES_BELOW
from interp.matching.verdict import Verdict
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.language.figures import draw_copying
from interp.report.render import to_svg


def write_carried(study: HeadStudy) -> Chapter:
    """Copying scores of OV circuits, and composition of previous-token with induction heads."""
    induction = study.labels[study.labels["label"] == "induction"]
    figure = Figure(
        title="What attending to a token does to its own logit",
        caption="Eigenvalue score of each head's OV circuit between centred embeddings: 1 where it raises the logit of "
        "every token that it reads, -1 where it lowers it. Shaded: the middle 95 % of circuits whose W_V is one head's "
        "and whose W_O another's.",
        svg=to_svg(draw_copying(study.copying, study.labels)),
        table="copying",
    )
    return Chapter(
        section=Section(
            title="What they carry",
            introduction="An induction head must write what it reads: its OV circuit copies. A previous-token head "
            "must write what an induction head's keys read: the two compose (Elhage et al. 2021).",
            figures=(figure,),
            tables=("composition",) if len(study.composition) else (),
        ),
        findings=(_copies(induction),) if len(induction) else (),
        tables={"copying": study.copying, "composition": study.composition},
    )


def _copies(induction: pd.DataFrame) -> Finding:
    """Whether the OV circuits of all induction heads copy."""
    copying, p_values = induction["copying"], induction["copying_p"]
    verdict: Verdict = (
        "supported"
        if (p_values <= COPIES_BELOW).all()
        else "refuted"
        if (p_values > COPIES_BELOW).all()
        else "inconclusive"
    )
    return Finding(
        id="head.induction.copies",
        claim="Its induction heads copy: attending to a token raises that token's logit",
        statistic="copying_score_of_the_ov_circuit",
        estimate=float(copying.mean()),
        ci=(float(copying.min()), float(copying.max())),
        verdict=verdict,
        reason=f"mean over the heads, from the lowest to the highest; supported when each is in the upper "
        f"{COPIES_BELOW:.0%} of mismatched circuits, refuted when none is",
        details={
            f"p-value, head {head} of layer {layer}": p_value
            for layer, head, p_value in induction[["layer", "head", "copying_p"]].itertuples(index=False)
        },
    )
