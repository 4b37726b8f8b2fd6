"""Out of distribution: the losses of a model and of the algorithms it is held against, as the prompts' law moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from interp._progress import track
from interp.matching.readouts import model_answers, problems_of
from interp.models.protocol import HookedRegressor
from interp.tasks import InputLaw, LinearRegression, Task
from probes import bootstrap_mean

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
WEIGHT_SCALES = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
NOISE = (0.0, 0.1, 0.25, 0.5, 1.0)
LAWS: tuple[InputLaw, ...] = ("uniform", "gaussian", "exponential", "laplace")
MOST_DISTRACTORS = 8


@dataclass(frozen=True)
class Shift:
    """One way in which the prompts' law differs from a model's own."""

    kind: str
    value: float | str
    task: LinearRegression


def shifts_of(task: Task) -> list[Shift]:
    """The shifts of von Oswald et al. (2022, Fig. 2 and appendix).

    Inputs and hidden weights scaled; inputs of other laws, each context and its query divided by the context's
    Frobenius norm and multiplied by the norm that the task's own contexts have on average (root mean square); noise on
    the labels; context labels replaced by standard normal draws (as many as the context has, at most 8). Raises
    ValueError for tasks that are not linear.
    """
    if not isinstance(task, LinearRegression):
        raise ValueError(f"These shifts move the law of linear regression; the task is {type(task).__name__}.")
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


def compare_under_shift(
    predictors: Mapping[str, HookedRegressor],
    shifts: Sequence[Shift],
    *,
    n_prompts: int = 2048,
    seed: int = 0,
) -> pd.DataFrame:
    """The loss of every predictor under every shift, on the same prompts.

    Algorithms come as models too (`interp.models.descent_twin`), so that what bounds a model's activations bounds
    theirs. Columns: shift, value, predictor, loss (half the mean squared error at the query), ci_low, ci_high.
    """
    rows = []
    with track("shifts", len(shifts)) as tracker:
        for shift in shifts:
            prompts = shift.task.sample(n_prompts, seed=seed)
            for name, predictor in predictors.items():
                targets = problems_of(predictor, prompts).targets
                errors = model_answers(predictor, prompts).to(targets) - targets
                loss = bootstrap_mean(np.asarray(0.5 * errors[:, -1].square()))
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
            tracker.advance(shift.kind)
    return pd.DataFrame(rows)
