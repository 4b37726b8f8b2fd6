"""Descent from several starts, for objectives of many variables that PyTorch can differentiate."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

DESCENTS = 4
"""How many of the starts are descended from: those that are lowest to begin with."""
HUGE = 1e12
"""Stands for objectives that are not finite, in units of the lowest start's: the line search then steps back."""


def descend(objective: Callable[[Tensor], Tensor], starts: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, "..."]:
    """The lowest point that L-BFGS reaches from the most promising starts, all of one shape, in float64.

    The objective's units do not matter. Raises ValueError where no start has a finite objective.
    """
    shape = starts[0].shape
    lowest, *others = sorted(starts, key=lambda start: _finite(objective(start)))[:DESCENTS]
    if not math.isfinite(level := _finite(objective(lowest))):
        raise ValueError("No start has a finite objective; the data may be degenerate.")
    unit = abs(level) or 1.0

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        values = torch.tensor(flat, dtype=torch.float64).reshape(shape).requires_grad_()
        loss = objective(values) / unit
        (gradient,) = torch.autograd.grad(loss, values)
        if not (gradient.isfinite().all() and loss < HUGE):
            return HUGE, np.zeros_like(flat)
        return loss.item(), gradient.flatten().numpy()

    found = [
        minimize(evaluate, start.flatten().numpy(), jac=True, method="L-BFGS-B", options={"maxiter": 300})
        for start in (lowest, *others)
    ]
    best = min(found, key=lambda result: result.fun)
    return torch.tensor(best.x, dtype=torch.float64).reshape(shape)


def _finite(value: Tensor) -> float:
    return value.item() if value.isfinite() else math.inf
