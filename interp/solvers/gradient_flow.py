"""Gradient flow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver
from interp.solvers.step_size import Normalization, divisor, step_sizes


@final
@dataclass(frozen=True, kw_only=True)
class GradientFlow(SpectralSolver):
    """Gradient descent with infinitely small steps: ``dw/dt = -X^T (X w - y)`` from 0, divided by n if ``mean``.

    ``lr`` is the time that one step takes, so that step k is the flow at time ``t = k lr`` and gd with the same lr is
    its Euler scheme. The response is ``(1 - exp(-t lambda)) / lambda`` (Ali, Kolter and Tibshirani 2019, section 2).
    It diverges for no positive lr.
    """

    name: ClassVar[str] = "gradient-flow"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)

    lr: float = 0.01
    normalize: Normalization = "mean"

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``(1 - exp(-k lr lambda)) / lambda``, accurate for small lr lambda too."""
        shrink = self.lr / divisor(spectrum, self.normalize) * spectrum.eigenvalues
        k = torch.tensor(steps, dtype=shrink.dtype, device=shrink.device)[:, None, None, None]
        return -torch.expm1(-k * shrink) / spectrum.eigenvalues

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """The time of a step, around gradient descent's edge of stability; there is no edge here."""
        return {"lr": step_sizes(spectrum, self.normalize, 1e-3, 20.0)}
