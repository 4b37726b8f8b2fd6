"""How a model got where it is: its checkpoints, held against GD and GD++ (von Oswald et al. 2022, Fig. 2 and 3)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from interp.matching import Turn, align_over_training, find_turn
from interp.matching.alignment import measure_prompts
from interp.matching.descents import best_descents
from interp.matching.over_training import MEASURES
from interp.matching.readouts import prompt_losses
from interp.matching.verdict import THRESHOLD, Verdict
from interp.models.any_model import AnyModel
from interp.models.folders import describe_model, weights_checksum
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.report.chapter import Chapter, count_of, judge_range
from interp.report.curves import draw_training
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.render import show, to_svg
from interp.solvers import AbstractSolver, Tuned
from interp.tasks import LinearRegression, Prompts
from interp.training import checkpoint_steps, load_checkpoint
from probes import Interval, bootstrap_mean, bootstrap_ratio

MOST_CHECKPOINTS = 40
"""Checkpoints followed; of more, as many spread evenly over them."""
SETTLED = 0.02
"""How much the loss may still change over the last quarter of training."""


def write_training(model: HookedRegressor, prompts: Prompts) -> Chapter | None:
    """Follow the loss and the alignment with GD and GD++ from checkpoint to checkpoint.

    None for models that cannot be followed: those without checkpoints, or changed since they were read from their
    folder, and those that do not answer linear regression at the query alone.
    """
    folder = followable_folder(model)
    if folder is None or not isinstance(model, RegressionTransformer):
        return None
    followed, device = thinned(checkpoint_steps(folder)), next(model.parameters()).device
    descents = best_descents(model, prompts)
    solvers = {name: tuned.solver for name, tuned in descents.items()}
    table = align_over_training(folder, solvers, prompts, checkpoints=followed, device=device)
    turn = find_turn(table) if "gd++" in solvers else None
    findings = [_converged_finding(folder, prompts, followed)]
    if "gd++" in solvers:
        gaps = [_cosine_gap(folder, step, solvers, prompts) for step in (followed[0], followed[-1])]
        findings.insert(0, _turn_finding(table, turn, *gaps))
    return Chapter(
        section=Section(
            title="How it got there",
            introduction=f"The model at {count_of(len(followed), 'checkpoint')} of its training, on the same prompts.",
            figures=(_figure(table, descents, turn),),
        ),
        findings=tuple(findings),
        tables={"training": table},
    )


def followable_folder(model: HookedRegressor) -> Path | None:
    """The folder whose checkpoints are held against GD, or None; see `write_training`."""
    if not isinstance(model, RegressionTransformer):
        return None
    answers_queries = model.cfg.layout.kind == "paired" and len(model.predicted_points) == 1
    if not (isinstance(model.task, LinearRegression) and answers_queries):
        return None
    return folder_of_checkpoints(model)


def folder_of_checkpoints(model: AnyModel) -> Path | None:
    """The folder whose checkpoints tell how the model was trained, or None where there are none or not of this model.

    A model that was changed since it was read from its folder is another one.
    """
    info = describe_model(model)
    if info.folder is None or len(checkpoint_steps(info.folder)) < 2 or weights_checksum(model) != info.checksum:
        return None
    return info.folder


def thinned(steps: Sequence[int], most: int = MOST_CHECKPOINTS) -> list[int]:
    """At most so many of the steps, spread evenly over their order, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[index] for index in np.linspace(0, len(steps) - 1, most).round().astype(int)]


def say_turn(turn: Turn) -> str:
    """The turn in words, the updates at which it happened among them."""
    return (
        f"came close to {turn.first} first (update {turn.closest}, loss {show(turn.loss_there)}) and then turned to "
        f"{turn.second} (between updates {turn.crossing[0]} and {turn.crossing[1]})"
    )


def _figure(table: pd.DataFrame, descents: dict[str, Tuned], turn: Turn | None) -> Figure:
    steps = count_of(next(iter(descents.values())).steps, "step")
    marked = (
        "" if turn is None else f" Shaded: between these checkpoints {turn.second} takes the lead from {turn.first}."
    )
    return Figure(
        title="Loss and alignment over training",
        caption=f"Left: half the mean squared error; dashed, that of {steps} of each algorithm, tuned on these "
        "prompts. Middle: mean cosine between d prediction / d query of the model and of the algorithm, 1 where they "
        "weigh the query alike; right: the same from close by. Bands are 95 % intervals over prompts. Updates are on "
        f"a logarithmic scale, from the first one.{marked}",
        svg=to_svg(draw_training(table, {name: tuned.loss for name, tuned in descents.items()}, turn)),
        table="training",
    )


def _cosine_gap(folder: Path, step: int, solvers: dict[str, AbstractSolver], prompts: Prompts) -> Interval:
    """How much higher the cosine with GD++ is than that with GD, prompt by prompt, at a checkpoint."""
    model = load_checkpoint(folder, step)
    measured = measure_prompts(model, solvers, prompts, model.cfg.n_layers)
    cosine = MEASURES.index("cosine")
    return bootstrap_mean((measured["gd++"] - measured["gd"])[cosine].numpy())


def _turn_finding(table: pd.DataFrame, turn: Turn | None, at_start: Interval, at_end: Interval) -> Finding:
    by_solver = {name: table[table["solver"] == name] for name in ("gd", "gd++")}
    details: dict[str, object] = {}
    for name, rows in by_solver.items():
        updates, cosines = rows["update"].to_numpy(), rows["cosine"].to_numpy()
        details |= {
            f"cosine with {name}, highest": float(cosines.max()),
            f"cosine with {name}, highest at update": int(updates[cosines.argmax()]),
            f"cosine with {name} at the end": float(cosines[-1]),
        }
    if turn is not None:
        details |= {
            "closest to gd at update": turn.closest,
            "loss there": turn.loss_there,
            "cosine with gd there": (turn.first_there.low, turn.first_there.high),
            "cosine with gd++ there": (turn.second_there.low, turn.second_there.high),
            "gd++ takes the lead between updates": turn.crossing,
            "loss at the end": turn.loss_at_last,
        }
    return Finding(
        id="learned.turn",
        claim="In training it "
        + (say_turn(turn) if turn is not None else "came close to gd first and then turned to gd++"),
        statistic="cosine_with_gd++_minus_cosine_with_gd_at_the_end",
        estimate=at_end.estimate,
        ci=(at_end.low, at_end.high),
        controls={"untrained (the first checkpoint)": at_start.estimate},
        verdict=_judge_turn(by_solver["gd"], by_solver["gd++"], turn, at_end),
        reason=f"supported when at one checkpoint its cosine with gd is above {THRESHOLD} and above that with gd++, "
        "and at the last one the other way round, with intervals that do not overlap; refuted when it clearly ends "
        "elsewhere, or at no checkpoint can have been near gd and nearer to it than to gd++; both algorithms were "
        "tuned for the lowest loss on these very prompts",
        details=details,
    )


def _judge_turn(gd: pd.DataFrame, plus: pd.DataFrame, turn: Turn | None, at_end: Interval) -> Verdict:
    if turn is not None and min(turn.first_there.low, turn.second_at_last.low) > THRESHOLD:
        return "supported"
    near_gd = (gd["cosine_high"] > THRESHOLD).to_numpy()
    nearer = gd["cosine_high"].to_numpy() > plus["cosine_low"].to_numpy()
    ends_elsewhere = at_end.high < 0 or plus["cosine_high"].iloc[-1] < THRESHOLD
    return "refuted" if ends_elsewhere or not (near_gd & nearer).any() else "inconclusive"


def _converged_finding(folder: Path, prompts: Prompts, followed: Sequence[int]) -> Finding:
    """The last checkpoint beside the last one that is at least a quarter of the training older."""
    last = followed[-1]
    earlier = max(step for step in followed if step <= 0.75 * last)
    first, then, now = (prompt_losses(load_checkpoint(folder, step), prompts) for step in (followed[0], earlier, last))
    ratio, learned = bootstrap_ratio(then, now), bootstrap_ratio(first, now)
    verdict = judge_range((ratio.low, ratio.high), 1 - SETTLED, 1 + SETTLED)
    if learned.low <= 1 + SETTLED:
        verdict = "inconclusive"
    return Finding(
        id="learned.converged",
        claim=f"Its loss had settled: from update {earlier} to the last, {last}, it changed by less than {SETTLED:.0%}",
        statistic="loss_relative_to_that_of_the_last_update",
        estimate=ratio.estimate,
        ci=(ratio.low, ratio.high),
        controls={f"update {followed[0]}": learned.estimate},
        verdict=verdict,
        reason="two checkpoints at least a quarter of the training apart, on the same prompts; undecided where the "
        "loss has never changed by more than that",
        details={"loss then": float(then.mean()), "loss at the end": float(now.mean())},
    )
