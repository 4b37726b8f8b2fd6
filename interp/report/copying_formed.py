"""When a model learnt to copy."""

from typing import Any

import numpy as np
import pandas as pd

from interp.attribution import Transition, dependency_over_training, find_transition
from interp.attribution.neighbours import WAYS
from interp.attribution.over_training import N_FOLLOWED
from interp.attribution.transition import SUDDEN
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.models.regressor import RegressionModel
from interp.report.chapter import Part, count_of
from interp.report.copying_figures import draw_formation
from interp.report.document import Figure
from interp.report.effort import affordable_prompts
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.report.training import folder_of_checkpoints, thinned
from interp.tasks import Prompts
from interp.training import checkpoint_steps

LEAST_FOLLOWED = 8


def write_formed(model: HookedRegressor, prompts: Prompts, head: "pd.Series[Any]") -> Part:
    """Follow the states after a copying head's layer from checkpoint to checkpoint; ``head`` is its row of the labels.

    Nothing for models without checkpoints.
    """
    folder = folder_of_checkpoints(model) if isinstance(model, RegressionModel) else None
    if folder is None:
        return Part()
    way, layer = WAYS[str(head["way"]).split(" and ")[0]], int(head["layer"])
    source = "next" if way.offset < 0 else "previous"
    steps = thinned(checkpoint_steps(folder))
    tokens = model.tokens(prompts[:1])
    passes = 2 * tokens.shape[1] * tokens.shape[2] * len(steps)  # forward mode, one direction at a time
    n_followed = affordable_prompts(model, prompts, passes, least=LEAST_FOLLOWED, most=N_FOLLOWED)
    table = dependency_over_training(
        folder, prompts, checkpoints=steps, layer=layer, n_followed=n_followed, device=tokens.device
    )
    transition = _transition_in(table, way.reader, source)
    figure = Figure(
        title=f"How {way.reader} tokens came to depend on the {source} token",
        caption=f"Left: half the mean squared error. Others: Frobenius norm of the Jacobian of a token's state after "
        f"layer {layer} with respect to another token of the prompt (others: one of the rest, on average), "
        f"{count_of(len(prompts[:n_followed]), 'prompt')}, {count_of(len(steps), 'checkpoint')}; its own token, which "
        "the stream carries on, is left out. Bands are 95 % intervals over prompts. Shaded: between these checkpoints "
        "the dependency changes.",
        svg=to_svg(draw_formation(table, None if transition is None else transition.dependency[0].between)),
        table="dependency_over_training",
    )
    others = _transition_in(table, way.reader, "others")
    findings = () if transition is None else (_transition_finding(transition, others, way.reader, source),)
    return Part(figures=(figure,), findings=findings, tables={"dependency_over_training": table})


def _transition_in(table: pd.DataFrame, reader: str, source: str) -> Transition | None:
    """The transition, or None where the loss or the dependency stays exactly as it is."""
    curve = table[(table["reader"] == reader) & (table["source"] == source)]
    if any(np.ptp(curve[column]) == 0 for column in ("loss", "value")):
        return None
    return find_transition(table, reader=reader, source=source)


def _transition_finding(transition: Transition, others: Transition | None, reader: str, source: str) -> Finding:
    (loss,), (dependency,) = transition.loss, transition.dependency
    lag, resolution = transition.lag.estimate, transition.resolution
    rises = dependency.after > dependency.before
    verdict: Verdict = "inconclusive"
    if rises and transition.sudden and transition.order == "together":
        verdict = "supported"
    elif not (rises and dependency.sudden):
        verdict = "refuted"
    return Finding(
        id="token.copying_transition",
        claim=f"In training its {reader} tokens came to depend on the {source} token suddenly, and as the loss fell: "
        f"between updates {dependency.between[0]} and {dependency.between[1]}",
        statistic="updates_by_which_it_follows_the_fall_of_the_loss",
        estimate=lag,
        ci=(lag - resolution, lag + resolution),
        controls={} if others is None else {"dependency on each other token": others.lag.estimate},
        verdict=verdict,
        reason="one run, of which there is no interval over runs: the range is what the distance of the checkpoints "
        f"leaves open. Supported when a step explains more than {SUDDEN:.0%} of both curves' variance (of a straight "
        "ramp it explains 75 %) and both change between the same checkpoints or the next; refuted when the dependency "
        "does not rise in such a step",
        details={
            "the loss falls between updates": loss.between,
            "loss before and after": (loss.before, loss.after),
            "dependency before and after": (dependency.before, dependency.after),
            "share of variance that a step explains": {"loss": loss.explained, "dependency": dependency.explained},
        },
    )
