"""Interleaved x and y: a plateau, then copying and one step of GD at once (Fig. 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.attribution import (
    Transition,
    copying_heads,
    dependency_over_training,
    find_transition,
    published_sensitivity_over_training,
)
from interp.attribution.transition import SUDDEN
from interp.matching.readouts import problems_of, prompt_losses
from interp.report.finding import Finding
from interp.report.training import thinned
from interp.reproduce.claims import claim_range, claim_share
from interp.reproduce.lab import Lab, model_of
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import nearest_update
from interp.reproduce.panels import Panel, draw_panels, joined, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import tune
from interp.tasks import Prompts
from interp.training import Run, checkpoint_steps, load_checkpoint
from probes import Interval, bootstrap_ratio

RECIPE = "copy-2layer"
QUICK_CHECKPOINTS = 40
LABEL_PROMPTS = 256
"""Prompts that heads are labelled on."""
SENSITIVITY_PROMPTS = 1024
"""Prompts of the published measure, the norm of a mean, whose noise falls with their number."""
NEXT, OTHERS = "on the next token", "on each other token"
PANELS = (
    Panel(name="loss", x="update", y="half mean squared error"),
    Panel(name=f"x tokens: {NEXT}", x="update", y="mean norm of Jacobian, layer 1"),
    Panel(name=f"x tokens: {OTHERS}", x="update", y="mean norm of Jacobian, layer 1"),
    Panel(name=f"y tokens: {NEXT}", x="update", y="mean norm of Jacobian, layer 1"),
    Panel(name=f"as published: {NEXT}", x="update", y="norm of mean gradient, layer 1"),
    Panel(name="as published: on the others", x="update", y="norm of mean gradient, layer 1"),
)


@dataclass(frozen=True)
class _Course:
    """One run followed through training."""

    run: Run
    dependency: pd.DataFrame
    published: pd.DataFrame
    transition: Transition
    """Of the x tokens' dependency on their ys."""
    plateau: Float[NDArray[np.float64], " prompt"]
    """Losses halfway to the fall of the loss."""
    end: Float[NDArray[np.float64], " prompt"]
    """Losses of the trained model."""
    copies: bool
    """Whether the head of the first layer is labelled a copying one."""

    def last(self, source: str, reader: str = "x") -> float:
        """What the readers depend on at the end."""
        part = self.dependency[(self.dependency["reader"] == reader) & (self.dependency["source"] == source)]
        return float(part["value"].iloc[-1])

    def last_published(self, source: str) -> float:
        """The published measure at the end."""
        return float(self.published.loc[self.published["source"] == source, "value"].iloc[-1])


def reproduce(lab: Lab) -> Reproduction:
    """Loss and token dependency over training, from run to run."""
    runs = lab.shipped_or_trained(RECIPE) if lab.quick else lab.runs(RECIPE, seeds=5)
    prompts = lab.prompts(runs[0].recipe.task)
    courses = [_follow(lab, run, prompts) for run in runs]
    table = joined(_rows(course) for course in courses)
    gd = {f"{steps} GD step{'s' if steps > 1 else ''}": tune("gd", prompts, steps).loss for steps in (1, 2)}
    loss, *others = PANELS
    panels = (Panel(name=loss.name, x=loss.x, y=loss.y, marks=gd, y_limits=(0.0, None)), *others)
    return Reproduction(
        name="oswald-copying",
        title="Interleaved x and y: copying, then one step of GD",
        source=f"{SOURCE}, Fig. 5",
        findings=_findings(courses, prompts, gd),
        table=table,
        drawing=draw_panels(table, panels),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(runs), "prompts": len(prompts)},
    )


def _follow(lab: Lab, run: Run, prompts: Prompts) -> _Course:
    steps = checkpoint_steps(run.folder)
    followed = thinned(steps, QUICK_CHECKPOINTS) if lab.quick else steps
    dependency = dependency_over_training(run.folder, prompts, checkpoints=followed, device=lab.device)
    sensitivity = published_sensitivity_over_training(
        run.folder, prompts[:SENSITIVITY_PROMPTS], checkpoints=followed, device=lab.device
    )
    transition = find_transition(dependency)
    halfway = nearest_update(dependency, int(transition.loss[0].at / 2))
    model = model_of(run)
    labels = copying_heads(model, prompts[:LABEL_PROMPTS])
    return _Course(
        run=run,
        dependency=dependency,
        published=sensitivity,
        transition=transition,
        plateau=prompt_losses(load_checkpoint(run.folder, halfway), prompts),
        end=prompt_losses(model, prompts),
        copies=labels.loc[labels["layer"] == 1, "label"].tolist() == ["copy"],
    )


def _rows(course: _Course) -> pd.DataFrame:
    """The parts of the figure's table that one run contributes: a series of its own in each panel."""
    seed, ours, theirs = course.run.seed, course.dependency, course.published

    def part(panel: str, frame: pd.DataFrame, y: str = "value") -> pd.DataFrame:
        return rows(panel, frame.assign(series=f"seed {seed}", seed=seed), x="update", y=y)

    def dependency(reader: str, source: str) -> pd.DataFrame:
        return ours[(ours["reader"] == reader) & (ours["source"] == source)]

    return joined(
        [
            part("loss", ours.drop_duplicates("update"), "loss"),
            part(f"x tokens: {NEXT}", dependency("x", "next")),
            part(f"x tokens: {OTHERS}", dependency("x", "others")),
            part(f"y tokens: {NEXT}", dependency("y", "next")),
            part(f"as published: {NEXT}", theirs[theirs["source"] == "next"]),
            part("as published: on the others", theirs[theirs["source"] == "other"]),
        ]
    )


def _findings(courses: Sequence[_Course], prompts: Prompts, gd: dict[str, float]) -> tuple[Finding, ...]:
    model = model_of(courses[0].run)
    problems = problems_of(model, prompts)
    zero = np.asarray(0.5 * problems.targets.square().mean(-1))
    step = tune("gd", prompts, 1)
    one = np.asarray(0.5 * (step.solver.predict(problems, [1])[0] - problems.targets).square().mean(-1))
    changes = [course.transition for course in courses]
    updates = {f"seed {course.run.seed}": course.transition.loss[0].between for course in courses}
    lags = _over_runs([lag for change in changes for lag in change.lags])
    resolution = max(change.resolution for change in changes)
    return (
        claim_range(
            "oswald-copying.plateau",
            "Halfway to the fall of the loss it is still that of predicting 0, to 1 %",
            "loss_relative_to_predicting_0",
            _ratios([course.plateau for course in courses], zero),
            ratio=True,
            low=0.99,
            high=1.01,
            paper="0.4167 for some 4000 updates",
            details={"the loss falls between updates": updates},
        ),
        claim_range(
            "oswald-copying.drop",
            "Then the loss falls at once: a step between two levels explains more of it than of a ramp",
            "share_of_variance_explained_by_a_step",
            _over_runs([change.loss[0].explained for change in changes]),
            low=SUDDEN,
            paper="0.4167 at update 4000, 0.29 at 4500, 0.22 at 5000 (seed 0 of the authors' code)",
            controls={"a ramp": 0.75},
        ),
        claim_range(
            "oswald-copying.next_token",
            "With the fall of the loss the dependency of x tokens on their y rises more than tenfold",
            "log10_of_dependency_after_over_before",
            _over_runs([math.log10(change.dependency[0].after / change.dependency[0].before) for change in changes]),
            low=1.0,
            paper="0.002 at the start, 1.03 at the end (x and y tokens alike, norm of the mean gradient)",
            details={
                "before, after": [(c.dependency[0].before, c.dependency[0].after) for c in changes],
                "share of variance that a step explains": [c.dependency[0].explained for c in changes],
            },
        ),
        claim_range(
            "oswald-copying.order",
            "The dependency on the next token rises before the loss falls or with it: no later, as far as the "
            "checkpoints tell",
            "updates_by_which_the_dependency_follows_the_loss",
            lags,
            high=resolution,
            paper="before the performance jumps, the first layer becomes highly sensitive to the next token",
            details={
                "the loss falls between updates": updates,
                "the dependency rises between updates": [change.dependency[0].between for change in changes],
            },
        ),
        claim_range(
            "oswald-copying.before",
            "It rises before: by more than the distance of the checkpoints",
            "updates_by_which_the_dependency_follows_the_loss",
            lags,
            high=-resolution,
            paper="before the performance jumps, the first layer becomes highly sensitive to the next token",
        ),
        claim_range(
            "oswald-copying.others",
            "At the end x tokens depend on each other token less than a tenth as much as on the next",
            "dependency_on_others_over_that_on_the_next",
            _over_runs([course.last("others") / course.last("next") for course in courses]),
            high=0.1,
            paper="independent of the others",
            controls={"untrained": float(np.mean([_untrained_share(course) for course in courses]))},
            details={"y tokens": [course.last("others", "y") / course.last("next", "y") for course in courses]},
        ),
        claim_range(
            "oswald-copying.published",
            "The published measure shows the same: at the end less than a fifth on the others, of what is on the next",
            "sensitivity_to_others_over_that_to_the_next",
            _over_runs([course.last_published("other") / course.last_published("next") for course in courses]),
            high=0.2,
            paper="0.06 on the others, the next one among them, and 1.03 on the next (seed 0)",
            details={
                source: [course.last_published(source) for course in courses] for source in ("own", "next", "other")
            },
        ),
        claim_range(
            "oswald-copying.final_loss",
            "At the end the loss is that of one step of GD, to 5 %",
            "loss_relative_to_one_gd_step",
            _ratios([course.end for course in courses], one),
            ratio=True,
            low=0.95,
            high=1.05,
            paper="0.204, where one step has 0.2047: a single step, not two",
            controls={
                "two GD steps": gd["2 GD steps"] / gd["1 GD step"],
                "predicting 0": float(zero.mean() / one.mean()),
            },
            details={"loss": [float(course.end.mean()) for course in courses], "solvers": gd},
        ),
        claim_share(
            "oswald-copying.head",
            "The head of the first layer copies every y beside its x, confirmed by ablation",
            "share_of_seeds",
            [course.copies for course in courses],
            paper="interpreted as a copying mechanism",
        ),
    )


def _untrained_share(course: _Course) -> float:
    """Dependency on others over that on the next token, at the first checkpoint."""
    first = course.dependency[course.dependency["update"] == course.dependency["update"].min()]
    of_x = first[first["reader"] == "x"].set_index("source")["value"]
    return float(of_x["others"] / of_x["next"])


def _over_runs(values: Sequence[float]) -> Sequence[float] | Interval:
    """One number per run, or for one run the number without an interval, which supports no claim about training."""
    return values if len(values) > 1 else Interval(values[0], math.nan, math.nan)


def _ratios(
    losses: Sequence[Float[NDArray[np.float64], " prompt"]], reference: Float[NDArray[np.float64], " prompt"]
) -> Sequence[float] | Interval:
    """Mean loss over a reference's on the same prompts: of each run, or of one run with an interval over prompts."""
    if len(losses) == 1:
        return bootstrap_ratio(losses[0], reference)
    return [float(loss.mean() / reference.mean()) for loss in losses]
