"""What several figures measure alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

from interp.matching import align_over_training, interpolate_with_gd
from interp.matching.descents import steps_of
from interp.matching.readouts import prompt_losses
from interp.models.config import TransformerConfig
from interp.models.constructions import descent_twin
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.reproduce.lab import Lab
from interp.solvers import AbstractSolver, Regressions, Tuned, tune
from interp.tasks import LinearRegression, Prompts
from interp.training import Recipe, Run, get_recipe

CLAMP = 10.0
"""Bound on activations above three layers, and on those of the algorithms beside them."""
MARGIN = 0.25
"""How far beyond the eigenvalues it was tuned on GD++ with steps of its own must not explode."""
PER_STEP = " per step"
"""How solvers with sizes of each step's own are named."""
CONVERGED = 1.02
"""A run has converged once its loss stays below this multiple of its algorithm's."""


Losses = Float[NDArray[np.float64], " prompt"]


def recipe_for(lab: Lab, name: str, quick_steps: int) -> Recipe:
    """The recipe, cut to so many updates under another name where the lab is quick."""
    recipe = get_recipe(name)
    if not lab.quick or quick_steps >= recipe.steps:
        return recipe
    return replace(recipe, name=f"{name}-{quick_steps}updates", steps=quick_steps)


def linear_task(run: Run) -> LinearRegression:
    """The task of a run on linear regression."""
    task = run.recipe.task
    assert isinstance(task, LinearRegression)
    return task


def follow(runs: Sequence[Run], solvers: Mapping[str, AbstractSolver], prompts: Prompts) -> pd.DataFrame:
    """`align_over_training` of all runs, with a column seed."""
    return pd.concat(
        [align_over_training(run.folder, solvers, prompts).assign(seed=run.seed) for run in runs], ignore_index=True
    )


def loss_of(model: HookedRegressor, prompts: Prompts) -> float:
    """Half the mean squared error at the queries."""
    return float(prompt_losses(model, prompts).mean())


def nearest_update(table: pd.DataFrame, update: int) -> int:
    """The checkpoint of a table that lies nearest to an update."""
    return min((int(candidate) for candidate in set(table["update"])), key=lambda candidate: abs(candidate - update))


def at_update(table: pd.DataFrame, update: int, column: str, solver: str) -> list[float]:
    """One number per seed: a column at a checkpoint, of the rows of a solver."""
    part = table[(table["update"] == update) & (table["solver"] == solver)].sort_values("seed")
    return [float(value) for value in part[column]]


def converged_at(table: pd.DataFrame, bound: float) -> list[int | None]:
    """For each seed the first checkpoint from which its loss stays below ``bound``, or None."""
    found: list[int | None] = []
    for _, part in table.drop_duplicates(["seed", "update"]).sort_values("update").groupby("seed"):
        above = part.loc[part["loss"] >= bound, "update"]
        after = part["update"] if above.empty else part.loc[part["update"] > above.max(), "update"]
        found.append(None if after.empty else int(after.min()))
    return found


def twin_of(solver: AbstractSolver, model: RegressionTransformer) -> RegressionTransformer:
    """GD or GD++ as weights beside a model: its task, its clamp, one step for each of its layers."""
    return descent_twin(model, *steps_of(solver, model))


def shared_steps(prompts: Prompts, steps: int) -> dict[str, Tuned]:
    """GD and GD++ with sizes that all steps share."""
    return {name: tune(name, prompts, steps) for name in ("gd", "gd++")}


def shared_and_each(lab: Lab, task: LinearRegression, steps: int, prompts: Prompts) -> dict[str, Tuned]:
    """`shared_steps` and, by `tune_each`, GD and GD++ with one size for each step."""
    return shared_steps(prompts, steps) | {
        f"{name}{PER_STEP}": tune_each(lab, name, task, steps, prompts) for name in ("gd", "gd++")
    }


def solver_losses(tuned: Mapping[str, Tuned], task: LinearRegression, prompts: Prompts) -> dict[str, Losses]:
    """Losses of GD and GD++ on prompts of a task; under a bound where steps have sizes of their own, as `tune_each`."""
    problems = Regressions.of(prompts)
    found = {}
    for name, best in tuned.items():
        if name.endswith(PER_STEP):
            found[name] = prompt_losses(_bounded(best.solver, best.steps, task), prompts)
        else:
            errors = best.solver.predict(problems, (best.steps,))[0] - problems.targets
            found[name] = np.asarray((0.5 * errors.square().mean(-1)).cpu())
    return found


def tune_each(lab: Lab, name: str, task: LinearRegression, steps: int, prompts: Prompts) -> Tuned:
    """GD or GD++ with sizes of each step's own, tuned on the lab's tuning prompts; its loss is that on ``prompts``.

    Such steps make a polynomial of high degree. That of GD++ would explode on a rare prompt whose leading eigenvalue no
    tuning prompt had, so that it is held to a margin, and, as published, to activations of at most 10.
    """
    margin = MARGIN if name == "gd++" else 0.0
    solver = tune(name, lab.tuning_prompts(task), steps, per_step=True, margin=margin).solver
    return Tuned(solver=solver, steps=steps, loss=loss_of(_bounded(solver, steps, task), prompts))


def _bounded(solver: AbstractSolver, steps: int, task: LinearRegression) -> RegressionTransformer:
    shape = RegressionTransformer(TransformerConfig(dim=task.dim, n_layers=steps, clamp=CLAMP), task)
    return twin_of(solver, shape)


def halfway(model: RegressionTransformer, solver: AbstractSolver) -> RegressionTransformer:
    """The weights in the middle between a model's and those of GD or GD++, one step per layer."""
    eta, gamma = steps_of(solver, model)
    return interpolate_with_gd(model, eta, gamma=gamma)


def one_layer_runs(lab: Lab) -> list[Run]:
    """One layer, trained as published."""
    return lab.runs(recipe_for(lab, "lsa-1layer-published", 1000), seeds=3 if lab.quick else 10)


def looped_runs(lab: Lab) -> list[Run]:
    """Two looped layers, trained until well after they have turned to GD++."""
    return lab.runs(recipe_for(lab, "lsa-2layer-looped", 3000), seeds=3 if lab.quick else 5)


def deep_runs(lab: Lab) -> list[Run]:
    """Five layers: the shipped models where the lab is quick, since one takes half an hour to train."""
    return lab.shipped("lsa-5layer") if lab.quick else lab.runs("lsa-5layer", seeds=3)
