"""Ordinary least squares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from interp.solvers.regressions import Spectrum
from interp.solvers.spectral import Responses, SpectralSolver


@final
@dataclass(frozen=True, kw_only=True)
class OrdinaryLeastSquares(SpectralSolver):
    """Least-squares weights of minimum norm, ``S^+ X^T y``; one-shot. With fewer examples than dim it interpolates."""

    name: ClassVar[str] = "ols"
    default_steps: ClassVar[tuple[int, ...]] = (1,)

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``1 / lambda`` on the range of S."""
        inverse = 1 / spectrum.eigenvalues
        return inverse.expand(len(steps), *inverse.shape)
