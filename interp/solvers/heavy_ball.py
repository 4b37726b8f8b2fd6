"""Gradient descent with momentum."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from interp.solvers.momentum import MomentumSolver


@final
@dataclass(frozen=True, kw_only=True)
class HeavyBall(MomentumSolver):
    """Gradient descent with momentum: ``w <- w - lr gradient(w) + momentum (w - w_before)`` (Polyak 1964).

    The gradient is ``X^T (X w - y)``, divided by n if ``mean``; both starts are 0. Without momentum it is gd. For a
    momentum in [0, 1) it diverges where lr times the largest eigenvalue of S (of S/n for ``mean``) exceeds
    2 (1 + momentum); below, a direction may overshoot for a while, and the status then reads diverged.
    """

    name: ClassVar[str] = "heavy-ball"

    def step(self, now: Tensor, before: Tensor, eigenvalues: Tensor, lr: Tensor | float) -> Tensor:
        """``g + lr (1 - lambda g) + momentum (g - g_before)``."""
        return now + lr * (1 - eigenvalues * now) + self.momentum * (now - before)
