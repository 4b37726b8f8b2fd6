"""Nesterov's accelerated gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver, unroll
from interp.solvers.step_size import Normalization, divisor, step_sizes


@final
@dataclass(frozen=True, kw_only=True)
class Nesterov(SpectralSolver):
    """Accelerated gradient: ``v = w + momentum (w - w_before)``, then ``w <- v - lr gradient(v)``.

    The gradient is ``X^T (X v - y)``, divided by n if ``mean``; both starts are 0. The momentum is one constant, as for
    strongly convex objectives (Nesterov 2004, section 2.2, constant step scheme III). Without it the method is gd; the
    first step always is. For a momentum in [0, 1) it diverges where lr times the largest eigenvalue of S (of S/n for
    ``mean``) exceeds 2 (1 + momentum) / (1 + 2 momentum), which is less than without momentum.
    """

    name: ClassVar[str] = "nesterov"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64)

    lr: float = 0.01
    momentum: float = 0.9
    normalize: Normalization = "mean"

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The recursion ``v = g + momentum (g - g_before)``, ``g <- v + lr (1 - lambda v)``."""
        eigenvalues = spectrum.eigenvalues
        lr = self.lr / divisor(spectrum, self.normalize)

        def update(_: int, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            now, before = state
            ahead = now + self.momentum * (now - before)
            return ahead + lr * (1 - eigenvalues * ahead), now

        start = torch.zeros_like(eigenvalues)
        return unroll((start, start), update, steps, read=lambda state: state[0])

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """As gd's step sizes, and any momentum below 1."""
        return {
            "lr": step_sizes(spectrum, self.normalize, 1e-3, 5.0),
            "momentum": Range(0.0, 0.98),
        }
