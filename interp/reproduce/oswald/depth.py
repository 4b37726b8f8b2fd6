"""Two to eight layers of linear attention, looped and with weights of their own, against GD and GD++ (appendix)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp.matching import align_all
from interp.matching.readouts import prompt_losses
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import PER_STEP, Losses, shared_and_each, solver_losses
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import Tuned
from interp.tasks import LinearRegression, Prompts
from interp.training import Run, get_recipe
from probes import bootstrap_ratio

DEPTHS = (2, 3, 4, 5, 6, 7, 8)
KINDS = {"looped": "-looped", "own weights": ""}
ALIGNED = ("gd++", f"gd++{PER_STEP}")
PANELS = (
    Panel(name="loss by depth", x="layers, or steps", y="half mean squared error", y_scale="log"),
    *(Panel(name=f"cosine with {name}", x="layers", y="cosine of sensitivities") for name in ALIGNED),
)


@dataclass(frozen=True)
class _Deep:
    """One trained model."""

    kind: str
    depth: int
    seed: int
    losses: Losses
    cosines: Mapping[str, float]


def reproduce(lab: Lab) -> Reproduction:
    """Final losses and alignment by depth: over three seeds, or, where the lab is quick, of the models there are."""
    task = get_recipe("lsa-1layer").task
    prompts, many = lab.prompts(task), lab.many_prompts(task)
    assert isinstance(task, LinearRegression)
    found, reached = [], {}
    for depth in DEPTHS:
        solvers = shared_and_each(lab, task, depth, prompts)
        reached[depth] = solver_losses(solvers, task, many)
        for kind, suffix in KINDS.items():
            runs = _runs_of(lab, f"lsa-{depth}layer{suffix}")
            found += [_measured(run, kind, solvers, prompts, many) for run in runs]
    models = pd.DataFrame(
        [
            {"series": one.kind, "depth": one.depth, "seed": one.seed, "loss": one.losses.mean(), **one.cosines}
            for one in found
        ]
    )
    algorithms = pd.DataFrame(
        [
            {"series": name, "depth": depth, "seed": "all", "loss": losses.mean()}
            for depth, of_depth in reached.items()
            for name, losses in of_depth.items()
        ]
    )
    table = pd.concat(
        [
            rows("loss by depth", models, x="depth", y="loss"),
            rows("loss by depth", algorithms, x="depth", y="loss"),
            *(rows(f"cosine with {name}", models, x="depth", y=name) for name in ALIGNED),
        ],
        ignore_index=True,
    )
    return Reproduction(
        name="oswald-depth",
        title="Two to eight layers, looped and not, against GD and GD++",
        source=f"{SOURCE}, Fig. 3 and appendix",
        findings=tuple(
            finding
            for depth in DEPTHS
            for finding in _findings([one for one in found if one.depth == depth], reached[depth], depth)
        ),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": models.groupby(["series", "depth"]).size().unstack("series").to_dict(),
            "prompts": len(prompts),
            "prompts of losses": len(many),
        },
    )


def _runs_of(lab: Lab, recipe: str) -> list[Run]:
    return lab.shipped_or_trained(recipe) if lab.quick else lab.runs(recipe, seeds=3)


def _measured(run: Run, kind: str, solvers: Mapping[str, Tuned], prompts: Prompts, many: Prompts) -> _Deep:
    model, depth = model_of(run), run.recipe.model.n_layers
    aligned = align_all(model, {name: solvers[name].solver for name in ALIGNED}, prompts, depth)
    return _Deep(
        kind=kind,
        depth=depth,
        seed=run.seed,
        losses=prompt_losses(model, many),
        cosines={name: alignment.cosine.estimate for name, alignment in aligned.items()},
    )


def _findings(found: Sequence[_Deep], reached: Mapping[str, Losses], depth: int) -> list[Finding]:
    """What models of one depth reach, relative to as many shared steps of GD++ on the same prompts."""
    solvers = {name: float(losses.mean()) for name, losses in reached.items()}

    def claim(
        id: str, said: str, kind: str, *, paper: str, control: str, low: float = -np.inf, high: float = np.inf
    ) -> Finding:
        of_kind = [one for one in found if one.kind == kind]
        return claim_range(
            f"oswald-depth.{depth}layer.{id}",
            said,
            "loss_relative_to_gd++",
            [bootstrap_ratio(one.losses, reached["gd++"]) for one in of_kind],
            ratio=True,
            low=low,
            high=high,
            paper=paper,
            controls={control: solvers[control] / solvers["gd++"]},
            details={
                "losses": [float(one.losses.mean()) for one in of_kind],
                "median losses": [float(np.median(one.losses)) for one in of_kind],
                "solvers": solvers,
            },
        )

    return [
        claim(
            "looped",
            f"{depth} looped layers reach the loss of {depth} shared steps of GD++, to 10 %",
            "looped",
            low=0.9,
            high=1.1,
            paper="looped layers match GD++",
            control="gd",
        ),
        claim(
            "untied",
            f"{depth} layers with weights of their own go below {depth} shared steps of GD++",
            "own weights",
            high=1.0,
            paper="untied layers surpass shared steps",
            control="gd++ per step",
        ),
    ]
