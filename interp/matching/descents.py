"""GD and GD++ held against a model: one step for each of its layers, tuned, or read off its weights."""

from dataclasses import dataclass

from interp.matching.circuits import effective_steps
from interp.matching.readouts import columns_of
from interp.models.constructions import descent_twin
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.solvers import AbstractSolver, GradientDescent, GradientDescentPlus, Tuned, tune
from interp.tasks import Prompts


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Steps of GD (all gamma 0) or GD++, one for each layer of a model."""

    name: str
    """What to call it in a sentence, such as ``tuned gd++``."""
    eta_over_n: tuple[float, ...]
    gamma: tuple[float, ...]

    def beside(self, model: RegressionTransformer) -> RegressionTransformer:
        """These steps as weights, on the model's task and with its clamp. Raises ValueError as `descent_twin`."""
        return descent_twin(model, self.eta_over_n, self.gamma)


def best_descents(model: HookedRegressor, prompts: Prompts) -> dict[str, Tuned]:
    """GD and, beyond one layer, GD++, tuned on the prompts for as many steps as the model has layers.

    One step of GD++ is one of GD.
    """
    steps = model.cfg.n_layers
    points = columns_of(model, prompts)
    informed = None if points is None else points[1:]
    return {name: tune(name, prompts, steps, points=informed) for name in (("gd", "gd++") if steps > 1 else ("gd",))}


def steps_of(
    solver: AbstractSolver, model: RegressionTransformer, n_examples: int | None = None
) -> tuple[list[float], list[float]]:
    """eta/n and gamma of GD or GD++ for each layer of a model. Raises TypeError for other solvers.

    n is that of the model's task, or the number given for prompts of another length.
    """
    steps = model.cfg.n_layers
    if isinstance(solver, GradientDescent):
        n = model.task.n_points - 1 if n_examples is None else n_examples
        scale = n if solver.normalize == "mean" else 1
        return [lr / scale for lr in solver.values_by_step(steps)["lr"]], [0.0] * steps
    if isinstance(solver, GradientDescentPlus):
        values = solver.values_by_step(steps)
        return list(values["lr"]), list(values["gamma"])
    raise TypeError(f"Only GD and GD++ are written as weights, not {type(solver).__name__}.")


def written_out(tuned: Tuned, model: RegressionTransformer, prompts: Prompts) -> Descent:
    """Tuned GD or GD++ as the steps of a model's layers, for prompts like those it was tuned on."""
    eta, gamma = steps_of(tuned.solver, model, prompts.n_examples)
    return Descent(name=f"tuned {tuned.solver.name}", eta_over_n=tuple(eta), gamma=tuple(gamma))


def read_off(model: RegressionTransformer) -> Descent:
    """The steps that a model's weights hold, by `effective_steps`. Raises ValueError as it does."""
    steps = effective_steps(model)
    return Descent(
        name=f"{'gd' if len(steps) == 1 else 'gd++'} with the steps read off its weights",
        eta_over_n=tuple(step.eta_over_n for step in steps),
        gamma=tuple(step.gamma for step in steps),
    )
