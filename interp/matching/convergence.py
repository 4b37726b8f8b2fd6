"""How fast the layers converge: the steps of a solver that err as much as each layer does."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp.matching.growth import GrowthLaw, fit_growth
from interp.matching.layer_errors import LayerPredictions
from interp.solvers import AbstractSolver
from probes import ResampledMeans, resampled_means
from probes.intervals import percentiles

DIVERGED = 1e300
"""A squared error that stands for any beyond it, infinite ones too, so that prompts can be resampled."""


def equal_error_steps(
    layers: LayerPredictions, solver: AbstractSolver, steps: tuple[int, ...], first_column: int = 1
) -> tuple[pd.DataFrame, GrowthLaw]:
    """For every layer the step count, interpolated, at which the solver's mean squared error is the layer's.

    Unlike a similarity it asks only how good the answers are, not whether they are the same: it is the rate of
    convergence of Fu et al. (2023, section 4.1). Errors are means over prompts and over columns from ``first_column``
    on. Between two of ``steps`` the logarithm of the error is taken to be linear. A layer that errs more than the first
    of them has that many steps, one that errs less than the solver ever does infinitely many.

    Columns: layer, error, error_low, error_high, order (the order of convergence q that this layer, the one before and
    the one after imply by e_next ~ e^q: 1 is linear convergence, as of GD, 2 quadratic, as of Newton; NaN at the ends),
    steps, steps_low, steps_high. The growth law is that of the steps of layers that are neither at the first nor beyond
    the last of them. Intervals are 95 % bootstraps over prompts.
    """
    predictions = solver.predict(layers.problems, steps)
    ours, theirs = (resampled_means(part) for part in prompt_errors_of(layers, predictions, first_column))
    return steps_of_equal_error(ours, theirs, steps)


def prompt_errors_of(
    layers: LayerPredictions, predictions: Float[Tensor, "step prompt column"], first_column: int
) -> tuple[Float[NDArray[np.float64], "prompt layer"], Float[NDArray[np.float64], "prompt step"]]:
    """Mean squared error of layers and iterates on each prompt, over columns from ``first_column`` on."""
    theirs = np.nan_to_num(layers.squared_errors(predictions), nan=DIVERGED).clip(max=DIVERGED)
    ours = layers.squared_errors()
    return ours[..., first_column:].mean(-1).T, theirs[..., first_column:].mean(-1).T


def steps_of_equal_error(
    ours: ResampledMeans, theirs: ResampledMeans, steps: tuple[int, ...]
) -> tuple[pd.DataFrame, GrowthLaw]:
    """`equal_error_steps` from mean errors: those of the layers [layer] and those of the iterates [step]."""
    order = np.argsort(steps, kind="stable")
    ordered, theirs = tuple(steps[index] for index in order), theirs[order]
    found = _steps_to(ours.mean, theirs.mean, ordered)
    resampled = np.stack(
        [_steps_to(a, b, ordered) for a, b in zip(ours.resampled, theirs.resampled, strict=True)]
    )  # [resample layer]
    error_low, error_high = percentiles(ours.resampled)
    finite = np.where(np.isfinite(resampled), resampled, 2.0 * ordered[-1])
    low, high = percentiles(finite)
    table = pd.DataFrame(
        {
            "layer": range(len(ours.mean)),
            "error": ours.mean,
            "error_low": error_low,
            "error_high": error_high,
            "order": _orders(ours.mean),
            "steps": found,
            "steps_low": np.where(low > ordered[-1], np.inf, low),
            "steps_high": np.where(high > ordered[-1], np.inf, high),
        }
    )
    inside = (found > ordered[0]) & np.isfinite(found)
    return table, fit_growth(np.where(inside, found, 1.0), finite, inside)


def _steps_to(
    errors: Float[NDArray[np.float64], " layer"], of_solver: Float[NDArray[np.float64], " step"], steps: tuple[int, ...]
) -> Float[NDArray[np.float64], " layer"]:
    """Where the solver's error, made monotone by its least so far, first comes down to each error."""
    best = np.minimum.accumulate(of_solver)
    logs = np.log(np.maximum(best, np.finfo(float).tiny))
    wanted = np.log(np.maximum(errors, np.finfo(float).tiny))
    after = (logs[None, :] > wanted[:, None]).sum(-1)  # the first step at or below the wanted error
    found = np.full(len(errors), np.inf)
    for layer, place in enumerate(after):
        if place == 0:
            found[layer] = steps[0]
        elif place < len(steps):
            share = (logs[place - 1] - wanted[layer]) / (logs[place - 1] - logs[place])
            found[layer] = steps[place - 1] + share * (steps[place] - steps[place - 1])
    return found


def _orders(errors: Float[NDArray[np.float64], " layer"]) -> Float[NDArray[np.float64], " layer"]:
    """``log(e_next / e) / log(e / e_before)``; NaN where an error does not fall."""
    falls = np.diff(np.log(np.maximum(errors, np.finfo(float).tiny)))
    orders = np.full(len(errors), np.nan)
    if len(falls) > 1:
        meaningful = (falls[:-1] < 0) & (falls[1:] < 0)
        orders[1:-1] = np.where(meaningful, falls[1:] / np.where(meaningful, falls[:-1], 1.0), np.nan)
    return orders
