"""Gradient descent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescent(SpectralSolver):
    """Full-batch least-squares descent from 0, ``w <- w - lr X^T (X w - y)``, divided by n if ``mean``.

    Its response is ``(1 - (1 - lr lambda)^k) / lambda``. Diverges where lr times the largest eigenvalue of S
    (of S/n for ``mean``) exceeds 2. ``sum`` is the convention of Fu et al. (2023)'s code, with lr 0.01.
    """

    name: ClassVar[str] = "gd"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)

    lr: float = 0.01
    normalize: Literal["mean", "sum"] = "mean"

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``(1 - (1 - lr lambda)^k) / lambda``, accurate for small lr lambda too."""
        eigenvalues = spectrum.eigenvalues
        lr = self.lr / spectrum.n_examples.clamp(min=1) if self.normalize == "mean" else self.lr
        shrink = lr * eigenvalues
        k = torch.tensor(steps, dtype=shrink.dtype, device=shrink.device)[:, None, None, None]
        # expm1 and log1p keep the digits that 1 - (1 - s)^k loses for small s. Large s lose none and may pass
        # 1; powers are slow, so only large s are raised to them.
        progress = -torch.expm1(k * torch.log1p(-shrink.clamp(max=0.5)))
        large = shrink >= 0.5
        progress[:, large] = 1 - (1 - shrink[large]) ** k[:, 0, 0]
        return progress / eigenvalues

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """The step size, from a thousandth of the edge of stability to five times beyond it."""
        edge = 2 / spectrum.top
        unit = spectrum.longest if self.normalize == "mean" else 1
        return {"lr": Range(1e-3 * edge * unit, 5 * edge * unit, log=True)}
