"""Nesterov's accelerated gradient."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from interp.solvers.momentum import MomentumSolver


@final
@dataclass(frozen=True, kw_only=True)
class Nesterov(MomentumSolver):
    """Accelerated gradient: ``v = w + momentum (w - w_before)``, then ``w <- v - lr gradient(v)``.

    The gradient is ``X^T (X v - y)``, divided by n if ``mean``; both starts are 0. The momentum is one constant, as for
    strongly convex objectives (Nesterov 2004, section 2.2, constant step scheme III). Without it the method is gd; the
    first step always is. For a momentum in [0, 1) it diverges where lr times the largest eigenvalue of S (of S/n for
    ``mean``) exceeds 2 (1 + momentum) / (1 + 2 momentum), which is less than without momentum.
    """

    name: ClassVar[str] = "nesterov"

    def step(self, now: Tensor, before: Tensor, eigenvalues: Tensor, lr: Tensor | float) -> Tensor:
        """``v = g + momentum (g - g_before)``, then ``v + lr (1 - lambda v)``."""
        ahead = now + self.momentum * (now - before)
        return ahead + lr * (1 - eigenvalues * ahead)
