"""Gradient descent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, unroll
from interp.solvers.step_size import Normalization, divisor, step_sizes
from interp.solvers.stepwise import StepValues, StepwiseSolver


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescent(StepwiseSolver):
    """Full-batch least-squares descent from 0, ``w <- w - lr X^T (X w - y)``, divided by n if ``mean``.

    ``lr`` is one number shared by all steps, or a tuple with one per step. Its response is ``(1 - (1 - lr lambda)^k) /
    lambda``, and ``(1 - prod (1 - lr_k lambda)) / lambda`` in general. A shared lr diverges where lr times the largest
    eigenvalue of S (of S/n for ``mean``) exceeds 2. ``sum`` is the convention of Fu et al. (2023)'s code, with lr 0.01.
    """

    name: ClassVar[str] = "gd"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, *(2**k for k in range(5, 13)))
    stepwise: ClassVar[tuple[str, ...]] = ("lr",)

    lr: float | tuple[float, ...] = 0.01
    normalize: Normalization = "mean"

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``(1 - (1 - lr lambda)^k) / lambda``, accurate for small lr lambda too. Own step sizes are unrolled."""
        if isinstance(self.lr, tuple):
            return self.unrolled(spectrum, steps, self.values_by_step(max(steps)))
        eigenvalues = spectrum.eigenvalues
        shrink = self.lr / divisor(spectrum, self.normalize) * eigenvalues
        k = torch.tensor(steps, dtype=shrink.dtype, device=shrink.device)[:, None, None, None]
        # expm1 and log1p keep the digits that 1 - (1 - s)^k loses for small s. Large s lose none and may pass
        # 1; powers are slow, so only large s are raised to them.
        progress = -torch.expm1(k * torch.log1p(-shrink.clamp(max=0.5)))
        large = shrink >= 0.5
        progress[:, large] = 1 - (1 - shrink[large]) ** k[:, 0, 0]
        return progress / eigenvalues

    def unrolled(self, spectrum: Spectrum, steps: Sequence[int], values: StepValues) -> Responses:
        """The recursion ``g <- g + lr (1 - lambda g)``, which keeps the digits of small lr lambda."""
        eigenvalues, n = spectrum.eigenvalues, divisor(spectrum, self.normalize)

        def update(k: int, response: Tensor) -> Tensor:
            return response + values["lr"][k] / n * (1 - eigenvalues * response)

        return unroll(torch.zeros_like(eigenvalues), update, steps, read=lambda response: response)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """The step size, from a thousandth of the edge of stability to five times beyond it."""
        return {"lr": step_sizes(spectrum, self.normalize, 1e-3, 5.0)}
