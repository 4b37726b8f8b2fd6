"""Out of distribution: the losses of a model and of the algorithms it is held against, as the prompts' law moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp._progress import track
from interp.matching.readouts import model_answers
from interp.models.protocol import HookedRegressor
from interp.solvers import Regressions, Tuned
from interp.tasks import InputLaw, LinearRegression, Prompts, Task, garg_shifts
from probes import bootstrap_mean

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
WEIGHT_SCALES = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
NOISE = (0.0, 0.1, 0.25, 0.5, 1.0)
LAWS: tuple[InputLaw, ...] = ("uniform", "gaussian", "exponential", "laplace")
MOST_DISTRACTORS = 8
GARG: dict[str, dict[float | str, str]] = {
    "input scale": {
        1 / 3: "input scale 1/3",
        1 / 2: "input scale 1/2",
        1.0: "standard",
        2.0: "input scale 2",
        3.0: "input scale 3",
    },
    "weight scale": {
        1 / 3: "weight scale 1/3",
        1 / 2: "weight scale 1/2",
        1.0: "standard",
        2.0: "weight scale 2",
        3.0: "weight scale 3",
    },
    "inputs": {
        "own": "standard",
        "skewed": "skewed covariance",
        "subspace": "half subspace",
        "orthants": "different orthants",
    },
    "query": {"own": "standard", "orthogonal": "orthogonal query", "an example": "query equals an example"},
}
"""Garg et al.'s shifts, but for noise, by kind and value: their names in `interp.tasks.garg_shifts`."""

Predictor = HookedRegressor | Tuned
"""A model, or a solver with the number of its steps (`interp.solvers.tune` makes one of any solver)."""


@dataclass(frozen=True)
class Shift:
    """One way in which the prompts' law differs from a model's own."""

    kind: str
    value: float | str
    task: LinearRegression


def shifts_of(task: Task) -> list[Shift]:
    """The shifts of the paper that a task's inputs are from: those of Garg et al. for Gaussian ones, else von Oswald's.

    Von Oswald et al. (2022, Fig. 2 and appendix): inputs and hidden weights scaled; inputs of other laws, each context
    and its query divided by the context's Frobenius norm and multiplied by the norm that the task's own contexts have
    on average (root mean square); noise on the labels; context labels replaced by standard normal draws (as many as the
    context has, at most 8). Garg et al. (2022, section 4): `interp.tasks.garg_shifts`, in the order of what they move:
    input scale, weight scale, inputs, query and label noise. The task itself is among the values of every kind but
    "input law". Raises ValueError for tasks that are not linear.
    """
    if not isinstance(task, LinearRegression):
        raise ValueError(f"These shifts move the law of linear regression; the task is {type(task).__name__}.")
    return _garg(task) if task.inputs == "gaussian" else _oswald(task)


def _oswald(task: LinearRegression) -> list[Shift]:
    n_examples = task.n_points - 1
    norm = (n_examples * task.dim * task.input_variance) ** 0.5
    found = [Shift("input scale", v, replace(task, input_scale=v * task.input_scale)) for v in SCALES]
    found += [Shift("weight scale", v, replace(task, weight_scale=v * task.weight_scale)) for v in WEIGHT_SCALES]
    found += [
        Shift("input law", law, replace(task, inputs=law, input_scale=norm, normalize_context=True)) for law in LAWS
    ]
    found += [Shift("label noise", v, replace(task, noise_std=v)) for v in NOISE]
    most = min(MOST_DISTRACTORS, n_examples)
    return found + [Shift("distractors", float(k), replace(task, distractors=k)) for k in range(most + 1)]


def _garg(task: LinearRegression) -> list[Shift]:
    named = garg_shifts(task)
    found = [
        Shift(kind, value, named[name])
        for kind, values in GARG.items()
        for value, name in values.items()
        if name in named
    ]
    noisy = dict.fromkeys((named["standard"], named["noisy output"]))
    return found + [Shift("label noise", each.noise_std, each) for each in noisy]


def compare_under_shift(
    predictors: Mapping[str, Predictor],
    shifts: Sequence[Shift],
    *,
    n_prompts: int = 2048,
    seed: int = 0,
) -> pd.DataFrame:
    """The loss of every predictor under every shift, on the same prompts.

    GD and GD++ may come as models too (`interp.models.descent_twin`), so that what bounds a model's activations bounds
    theirs; other algorithms come as solvers. Columns: shift, value, predictor, loss (half the mean squared error at the
    query, also of models that predict at every point), ci_low, ci_high.
    """
    return average_under_shift(losses_under_shift(predictors, shifts, n_prompts=n_prompts, seed=seed), shifts)


def losses_under_shift(
    predictors: Mapping[str, Predictor],
    shifts: Sequence[Shift],
    *,
    n_prompts: int = 2048,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "shift prompt"]]:
    """Half the squared error of every predictor at the query of each prompt, under every shift."""
    return answers_under_shift(predictors, shifts, n_prompts=n_prompts, seed=seed).losses()


@dataclass(frozen=True)
class ShiftedAnswers:
    """What predictors answer to the query of each prompt, under every shift."""

    answers: dict[str, Float[np.ndarray, "shift prompt"]]
    targets: Float[np.ndarray, "shift prompt"]

    def losses(self) -> dict[str, Float[np.ndarray, "shift prompt"]]:
        """Half the squared errors of the answers; not finite where an answer is not, or too far out to be squared."""
        with np.errstate(over="ignore"):
            return {name: 0.5 * np.square(answers - self.targets) for name, answers in self.answers.items()}


def answers_under_shift(
    predictors: Mapping[str, Predictor],
    shifts: Sequence[Shift],
    *,
    n_prompts: int = 2048,
    seed: int = 0,
) -> ShiftedAnswers:
    """Ask every predictor the same prompts, each with one query, at its last point.

    Shifts that are one and the same task, as the unshifted one is under every kind, are asked once.
    """
    kinds = {shift.task: shift.kind for shift in reversed(shifts)}
    answers: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    targets = []
    with track("shifts", len(kinds)) as tracker:
        for task, kind in kinds.items():
            prompts = task.sample(n_prompts, seed=seed)
            for name, predictor in predictors.items():
                answers[name].append(_answers_of(predictor, prompts))
            targets.append(np.asarray(prompts.ys[:, -1].double()))
            tracker.advance(kind)
    place = {task: index for index, task in enumerate(kinds)}
    which = [place[shift.task] for shift in shifts]
    return ShiftedAnswers({name: np.stack(parts)[which] for name, parts in answers.items()}, np.stack(targets)[which])


def _answers_of(predictor: Predictor, prompts: Prompts) -> Float[np.ndarray, " prompt"]:
    if isinstance(predictor, Tuned):
        found = predictor.solver.predict(Regressions.of(prompts), [predictor.steps])[0]
    else:
        found = model_answers(predictor, prompts)
    return np.asarray(found[:, -1].cpu())


def average_under_shift(
    losses: Mapping[str, Float[np.ndarray, "shift prompt"]], shifts: Sequence[Shift]
) -> pd.DataFrame:
    """The table of `compare_under_shift` from the losses of each prompt."""
    rows = []
    for index, shift in enumerate(shifts):
        for name, values in losses.items():
            loss = bootstrap_mean(values[index])
            rows.append(
                {
                    "shift": shift.kind,
                    "value": shift.value,
                    "predictor": name,
                    "loss": loss.estimate,
                    "ci_low": loss.low,
                    "ci_high": loss.high,
                }
            )
    return pd.DataFrame(rows)
