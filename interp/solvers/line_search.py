"""How far to go along a direction."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

LineSearch = Literal["exact", "backtracking"]
"""To the minimum along the direction, or 1, halved until the objective has fallen enough."""

ARMIJO = 1e-4
"""The share of the fall that the slope promises which counts as enough (Nocedal and Wright 2006, section 3.1)."""


def step_length(
    search: LineSearch, slope: Float[Tensor, "*problem"], curvature: Float[Tensor, "*problem"]
) -> Float[Tensor, "*problem"]:
    """The step along a direction p in which a quadratic objective falls by ``slope`` and bends by ``curvature``.

    Those are ``-gradient . p`` and ``p . S p``; the exact step is their ratio. Armijo's condition (Nocedal and Wright
    2006, equation 3.4) holds for a quadratic up to ``2 (1 - ARMIJO)`` times that, which tells at once how often to
    halve. A direction that does not fall, or does not bend, is not gone at all.
    """
    usable = (slope > 0) & (curvature > 0)
    exact = torch.where(usable, slope / curvature, 1.0)
    if search == "backtracking":
        halvings = -torch.log2(2 * (1 - ARMIJO) * exact).clamp(max=0).floor()
        exact = torch.pow(2.0, -halvings)
    return exact * usable
