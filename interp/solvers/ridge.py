"""Ridge regression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver


@final
@dataclass(frozen=True, kw_only=True)
class Ridge(SpectralSolver):
    """Least squares with the penalty ``alpha |w|^2``: ``(S + alpha I)^-1 X^T y``; one-shot.

    The posterior mean for noise of variance s^2 and weights of variance v has alpha = s^2 / v.
    """

    name: ClassVar[str] = "ridge"
    default_steps: ClassVar[tuple[int, ...]] = (1,)

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"Ridge needs a penalty `alpha` of at least 0, got {self.alpha}.")

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``1 / (lambda + alpha)``."""
        inverse = 1 / (spectrum.eigenvalues + self.alpha)
        return inverse.expand(len(steps), *inverse.shape)

    def fixed_point(self, spectrum: Spectrum) -> Tensor:
        """Ridge is its own goal."""
        return 1 / (spectrum.eigenvalues + self.alpha)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """From no penalty to ten times the leading eigenvalue, beyond which ridge is one scaled gradient step."""
        return {"alpha": Range(1e-6 * spectrum.top, 10 * spectrum.top, log=True)}
