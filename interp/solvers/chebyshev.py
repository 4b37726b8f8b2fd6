"""Chebyshev's semi-iteration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver, unroll
from interp.solvers.step_size import Normalization, divisor

_State = tuple[Tensor, Tensor, Tensor]
"""The response, its next change, and the ratio of successive Chebyshev polynomials."""


@final
@dataclass(frozen=True, kw_only=True)
class Chebyshev(SpectralSolver):
    """The polynomial method that is best for all eigenvalues in [low, high] at once (Golub and Varga 1961).

    After k steps ``T_k((high + low - 2 lambda) / (high - low)) / T_k((high + low) / (high - low))`` is missing of the
    solution, T_k being Chebyshev's polynomial; no polynomial of degree k that is 1 at 0 has a smaller maximum on the
    interval. The three-term recursion is that of Saad 2003, algorithm 12.1.

    An end that is not given is each prefix's own smallest non-zero or largest eigenvalue. Given ends are eigenvalues of
    S/n for ``mean``, of S for ``sum``. Beyond ``high`` it diverges. Raises ValueError unless 0 <= low <= high > 0.
    """

    name: ClassVar[str] = "chebyshev"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)

    low: float | None = None
    high: float | None = None
    normalize: Normalization = "mean"

    def __post_init__(self) -> None:
        low = 0.0 if self.low is None else self.low
        high = max(low, 1.0) if self.high is None else self.high
        if not (0 <= low <= high and high > 0):
            raise ValueError(
                f"Chebyshev needs an interval with 0 <= low <= high and high > 0, got low={self.low}, high={self.high}."
            )

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The three-term recursion, in a form that also holds for an interval of a single point."""
        eigenvalues = spectrum.eigenvalues
        low, high = self._interval(spectrum)
        middle, half = (high + low) / 2, (high - low) / 2

        def update(_: int, state: _State) -> _State:
            response, change, ratio = state
            response = response + change
            following = half / (2 * middle - half * ratio)
            change = following * ratio * change + 2 / (2 * middle - half * ratio) * (1 - eigenvalues * response)
            return response, change, following

        start = torch.zeros_like(eigenvalues)
        first = torch.ones_like(eigenvalues) / middle
        return unroll((start, first, half / middle), update, steps, read=lambda state: state[0])

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """The ends that are given; those that are not are known from the data."""
        unit = spectrum.top / (spectrum.longest if self.normalize == "mean" else 1)
        ranges = {"low": Range(1e-4 * unit, 0.49 * unit, log=True), "high": Range(0.5 * unit, 4 * unit, log=True)}
        return {name: found for name, found in ranges.items() if getattr(self, name) is not None}

    def _interval(self, spectrum: Spectrum) -> tuple[Tensor, Tensor]:
        """Both ends as eigenvalues of S, each [prompt prefix 1]."""
        eigenvalues, n = spectrum.eigenvalues, divisor(spectrum, self.normalize)
        # An empty prefix has no eigenvalue but 0; any interval does.
        high = eigenvalues.amax(-1, keepdim=True)
        high = high.where(high > 0, 1.0)
        low = eigenvalues.where(eigenvalues > 0, high).amin(-1, keepdim=True)
        if self.high is not None:
            high = torch.ones_like(high) * self.high * n
        if self.low is not None:
            low = torch.ones_like(low) * self.low * n
        return low, high
