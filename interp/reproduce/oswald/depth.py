"""Two to eight layers of linear attention, looped and with weights of their own, against GD and GD++ (appendix)."""

import pandas as pd

from interp.matching import align_all
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import loss_of, recipe_for, tune_each
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import Tuned, tune
from interp.tasks import LinearRegression, Prompts
from interp.training import get_recipe

DEPTHS, QUICK_DEPTHS = (2, 3, 4, 5, 6, 7, 8), (2, 3, 4, 6)
KINDS = {"looped": "-looped", "own weights": ""}
PANELS = (
    Panel(name="loss by depth", x="layers, or steps", y="half mean squared error", y_scale="log"),
    Panel(name="cosine with gd++", x="layers", y="cosine of sensitivities"),
    Panel(name="cosine with gd++ per step", x="layers", y="cosine of sensitivities"),
)


def reproduce(lab: Lab) -> Reproduction:
    """Final losses and alignment by depth, over seeds."""
    depths, seeds = (QUICK_DEPTHS, 2) if lab.quick else (DEPTHS, 3)
    prompts = lab.prompts(get_recipe("lsa-1layer").task)
    solvers = {depth: _solvers(lab, prompts, depth) for depth in depths}
    found = []
    for depth in depths:
        aligned = {name: solvers[depth][name].solver for name in ("gd++", "gd++ per step")}
        for kind, suffix in KINDS.items():
            for run in lab.runs(recipe_for(lab, f"lsa-{depth}layer{suffix}", 3000), seeds=seeds):
                model = model_of(run)
                row = {"series": kind, "depth": depth, "seed": run.seed, "loss": loss_of(model, prompts)}
                alignments = align_all(model, aligned, prompts, depth)
                found.append(row | {name: alignment.cosine.estimate for name, alignment in alignments.items()})
    models = pd.DataFrame(found)
    algorithms = pd.DataFrame(
        [
            {"series": name, "depth": depth, "seed": "all", "loss": best.loss}
            for depth, of_depth in solvers.items()
            for name, best in of_depth.items()
        ]
    )
    table = pd.concat(
        [
            rows("loss by depth", models, x="depth", y="loss"),
            rows("loss by depth", algorithms, x="depth", y="loss"),
            rows("cosine with gd++", models, x="depth", y="gd++"),
            rows("cosine with gd++ per step", models, x="depth", y="gd++ per step"),
        ],
        ignore_index=True,
    )
    return Reproduction(
        name="oswald-depth",
        title="Two to eight layers, looped and not, against GD and GD++",
        source=f"{SOURCE}, Fig. 3 and appendix",
        findings=tuple(finding for depth in depths for finding in _findings(models, solvers[depth], depth)),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": seeds, "depths": list(depths), "prompts": len(prompts)},
    )


def _solvers(lab: Lab, prompts: Prompts, depth: int) -> dict[str, Tuned]:
    """GD and GD++ of as many steps, with shared sizes and with one for each step."""
    task = get_recipe("lsa-1layer").task
    assert isinstance(task, LinearRegression)
    shared = {name: tune(name, prompts, depth) for name in ("gd", "gd++")}
    return shared | {f"{name} per step": tune_each(lab, name, task, depth, prompts) for name in ("gd", "gd++")}


def _findings(models: pd.DataFrame, solvers: dict[str, Tuned], depth: int) -> list[Finding]:
    losses = models[models["depth"] == depth].pivot(index="seed", columns="series", values="loss")
    reached = {name: best.loss for name, best in solvers.items()}
    return [
        claim_range(
            f"oswald-depth.{depth}layer.looped",
            f"{depth} looped layers reach the loss of {depth} shared steps of GD++, to 10 %",
            "loss_relative_to_gd++",
            (losses["looped"] / reached["gd++"]).tolist(),
            low=0.9,
            high=1.1,
            paper="looped layers match GD++",
            controls={"gd": reached["gd"] / reached["gd++"]},
            details={"losses": reached},
        ),
        claim_range(
            f"oswald-depth.{depth}layer.untied",
            f"{depth} layers with weights of their own go below {depth} shared steps of GD++",
            "loss_relative_to_gd++",
            (losses["own weights"] / reached["gd++"]).tolist(),
            high=1.0,
            paper="untied layers surpass shared steps",
            controls={"gd++ per step": reached["gd++ per step"] / reached["gd++"]},
            details={"losses": reached},
        ),
    ]
