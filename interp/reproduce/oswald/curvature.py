"""How GD++ reshapes the spectrum of X^T X, step by step, and how trained layers do (appendix)."""

import pandas as pd
import torch

from interp.matching import measured_spectra, reshaped_spectra
from interp.matching.curvature import log_condition
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import deep_runs, linear_task, looped_runs, tune_each
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import GradientDescentPlus, tune
from interp.tasks import Prompts
from interp.training import Run

MODELS = {"2 layers, looped": "gd++", "5 layers": "gd++ per step"}
"""The models, and the solver that each is held against."""


def reproduce(lab: Lab) -> Reproduction:
    """Eigenvalues of X^T X after every layer of two models, and after as many steps of GD++."""
    runs = dict(zip(MODELS, (looped_runs(lab), deep_runs(lab)), strict=True))
    prompts = lab.prompts(runs["5 layers"][0].recipe.task)
    spectra = pd.concat([_spectra(lab, name, found, prompts) for name, found in runs.items()], ignore_index=True)
    spectra["panel"] = spectra["model"] + ": " + spectra["source"]
    names = list(dict.fromkeys(spectra["panel"]))
    panels = [
        *(
            Panel(name=name, x="eigenvalue at the start", y="eigenvalue", x_scale="log", y_scale="log")
            for name in names
        ),
        Panel(name="condition number", x="layer, or step", y="log10 of largest over smallest"),
    ]
    spectra["series"] = [f"layer {layer}" for layer in spectra["layer"]]
    condition = spectra.drop_duplicates(["panel", "seed", "layer"]).assign(series=lambda table: table["panel"])
    table = pd.concat(
        [
            *(rows(name, spectra[spectra["panel"] == name], x="start", y="eigenvalue") for name in names),
            rows("condition number", condition, x="layer", y="condition"),
        ],
        ignore_index=True,
    )
    return Reproduction(
        name="oswald-curvature",
        title="How GD++ reshapes the spectrum of X^T X",
        source=f"{SOURCE}, section 3 and appendix A.10",
        findings=tuple(finding for name in MODELS for finding in _findings(spectra[spectra["model"] == name], name)),
        table=table,
        drawing=draw_panels(table, panels),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {name: len(found) for name, found in runs.items()},
            "prompts": len(prompts),
        },
    )


def _spectra(lab: Lab, name: str, runs: list[Run], prompts: Prompts) -> pd.DataFrame:
    """Mean eigenvalues by model, source, seed, layer and direction, and the mean logarithm of the condition number.

    Up to the last layer but one: what the last layer does to x, nothing reads.
    """
    steps = runs[0].recipe.model.n_layers
    first = model_of(runs[0])
    found: list[tuple[str, int | str, torch.Tensor, torch.Tensor]] = []
    for run in runs:
        model = model_of(run)
        own = measured_spectra(model, prompts, directions="own")
        found.append(("trained", run.seed, measured_spectra(model, prompts), own))
    for solver_name in dict.fromkeys(("gd++", MODELS[name])):
        shared = solver_name == "gd++"
        best = tune("gd++", prompts, steps) if shared else tune_each(lab, "gd++", linear_task(runs[0]), steps, prompts)
        assert isinstance(best.solver, GradientDescentPlus)
        spectrum = reshaped_spectra(first, prompts, best.solver, steps)
        found.append((solver_name, "all", spectrum, spectrum))
    tables = []
    for source, seed, spectrum, own in found:
        mean, condition = spectrum.mean(1), log_condition(own).mean(1)
        for layer in range(steps):
            table = pd.DataFrame({"start": mean[0].tolist(), "eigenvalue": mean[layer].tolist()})
            table["direction"] = range(len(table))
            tables.append(
                table.assign(model=name, source=source, seed=seed, layer=layer, condition=float(condition[layer]))
            )
    return pd.concat(tables, ignore_index=True)


def _findings(spectra: pd.DataFrame, name: str) -> list[Finding]:
    """What the spectrum is before the last layer reads it: after the last layer but one."""
    last = int(spectra["layer"].max())
    algorithm = MODELS[name]
    end = spectra[spectra["layer"] == last]
    trained, theirs = end[end["source"] == "trained"], end[end["source"] == algorithm]
    start = spectra[(spectra["layer"] == 0) & (spectra["source"] == algorithm)]["condition"].iloc[0]
    by_seed = trained.drop_duplicates("seed").set_index("seed")["condition"]
    wide = trained.pivot(index="direction", columns="seed", values="eigenvalue")
    factor = wide.div(theirs.set_index("direction")["eigenvalue"], axis=0)
    distance = (factor.where(factor >= 1, 1 / factor)).mean()
    id = name.split(" ")[0]
    details = {
        "log10 of the condition number": {
            "at the start": float(start),
            "trained": float(by_seed.mean()),
            algorithm: float(theirs["condition"].iloc[0]),
        }
    }
    return [
        claim_range(
            f"oswald-curvature.{id}layer.condition",
            f"{name}: before the last layer the condition number of X^T X has fallen",
            "log10_condition_relative_to_the_start",
            [float(value - start) for value in by_seed],
            high=0.0,
            paper="GD++ transforms the inputs so that the spectrum narrows",
            controls={algorithm: float(theirs["condition"].iloc[0] - start)},
            details=details,
        ),
        claim_range(
            f"oswald-curvature.{id}layer.spectrum",
            f"{name}: before the last layer the eigenvalues are those of {algorithm}, to 10 % on average",
            "factor_between_eigenvalues",
            [float(value) for value in distance],
            ratio=True,
            high=1.1,
            details={
                "mean eigenvalues": {"trained": wide.mean(axis=1).tolist(), algorithm: theirs["eigenvalue"].tolist()}
            },
        ),
    ]
