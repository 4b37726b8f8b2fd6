"""The heavy-ball method."""

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
class HeavyBall(SpectralSolver):
    """Gradient descent with momentum: ``w <- w - lr gradient(w) + momentum (w - w_before)`` (Polyak 1964).

    The gradient is ``X^T (X w - y)``, divided by n if ``mean``; both starts are 0. Without momentum it is gd. For a
    momentum in [0, 1) it diverges where lr times the largest eigenvalue of S (of S/n for ``mean``) exceeds
    2 (1 + momentum); below, a direction may overshoot for a while, and the status then reads diverged.
    """

    name: ClassVar[str] = "heavy-ball"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64)

    lr: float = 0.01
    momentum: float = 0.9
    normalize: Normalization = "mean"

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The recursion ``g <- g + lr (1 - lambda g) + momentum (g - g_before)``."""
        eigenvalues = spectrum.eigenvalues
        lr = self.lr / divisor(spectrum, self.normalize)

        def update(_: int, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            now, before = state
            return now + lr * (1 - eigenvalues * now) + self.momentum * (now - before), now

        start = torch.zeros_like(eigenvalues)
        return unroll((start, start), update, steps, read=lambda state: state[0])

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Step sizes up to beyond twice gd's edge, the most that momentum makes stable; any momentum below 1."""
        return {
            "lr": step_sizes(spectrum, self.normalize, 1e-3, 5.0),
            "momentum": Range(0.0, 0.98),
        }
