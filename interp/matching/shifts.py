"""Out of distribution: the losses of a model and of the algorithms it is held against, as the prompts' law moves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp._progress import track
from interp.matching.readouts import model_answers, problems_of
from interp.models.protocol import HookedRegressor
from interp.tasks import InputLaw, LinearRegression, Task
from probes import Interval, bootstrap_mean, resampling_weights
from probes.intervals import LEVEL, percentiles

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
WEIGHT_SCALES = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
NOISE = (0.0, 0.1, 0.25, 0.5, 1.0)
LAWS: tuple[InputLaw, ...] = ("uniform", "gaussian", "exponential", "laplace")
MOST_DISTRACTORS = 8
TINY = 1e-300
"""A loss of 0, so that it has a logarithm."""


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
    return average_under_shift(losses_under_shift(predictors, shifts, n_prompts=n_prompts, seed=seed), shifts)


def losses_under_shift(
    predictors: Mapping[str, HookedRegressor],
    shifts: Sequence[Shift],
    *,
    n_prompts: int = 2048,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "shift prompt"]]:
    """Half the squared error of every predictor at the query of each prompt, under every shift."""
    losses: dict[str, list[np.ndarray]] = {name: [] for name in predictors}
    with track("shifts", len(shifts)) as tracker:
        for shift in shifts:
            prompts = shift.task.sample(n_prompts, seed=seed)
            for name, predictor in predictors.items():
                targets = problems_of(predictor, prompts).targets
                errors = model_answers(predictor, prompts).to(targets) - targets
                losses[name].append(np.asarray(0.5 * errors[:, -1].square()))
            tracker.advance(shift.kind)
    return {name: np.stack(parts) for name, parts in losses.items()}


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


@dataclass(frozen=True)
class LossFactors:
    """By which factors two losses differ under shifts, 1 where they are equal, never below."""

    by_shift: Float[np.ndarray, " shift"]
    """exp |log(loss / loss of the other)|; infinite where one of the two is not finite, 1 where neither is."""
    largest: Interval

    @property
    def worst(self) -> int:
        """Index of the shift at which they differ most."""
        return int(self.by_shift.argmax())


def loss_factors(ours: Float[np.ndarray, "shift prompt"], theirs: Float[np.ndarray, "shift prompt"]) -> LossFactors:
    """Compare two predictors' losses on the same prompts under several shifts, and say how much they differ at most.

    The interval of the largest factor allows for its having been picked from many. Its lower end is that of a band
    around all log ratios at once (95 % in total, each as wide in units of its own bootstrap error). Its upper end is
    the highest of the upper ends of the single 95 % intervals: whichever shift the true largest factor belongs to is
    among them, so that this end needs no such allowance.
    """
    diverged = [~np.isfinite(losses).all(1) for losses in (ours, theirs)]
    apart, kept = diverged[0] ^ diverged[1], ~(diverged[0] | diverged[1])
    if apart.any() or not kept.any():
        low = math.inf if apart.any() else 1.0
        return LossFactors(np.where(apart, np.inf, 1.0), Interval(low, low, math.inf))
    weights = resampling_weights(ours.shape[1])
    top, bottom = (np.log(losses.mean(1).clip(TINY)) for losses in (ours[kept], theirs[kept]))
    ratio = top - bottom
    resampled = np.log((weights @ ours[kept].T).clip(TINY)) - np.log((weights @ theirs[kept].T).clip(TINY))
    error = resampled.std(0).clip(TINY)
    band = np.percentile((np.abs(resampled - ratio) / error).max(1), 100 * LEVEL)
    ends = np.abs(np.stack(percentiles(resampled))).max(0)
    distance = np.abs(ratio)
    by_shift = np.ones(len(ours))
    by_shift[kept] = np.exp(distance)
    low = max(0.0, float((distance - band * error).max()))
    high = max(float(ends.max()), float(distance.max()))
    return LossFactors(by_shift, Interval(float(by_shift.max()), math.exp(low), math.exp(high)))
