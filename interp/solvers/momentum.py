"""Gradient methods that remember their last step."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver, unroll
from interp.solvers.step_size import Normalization, divisor, step_sizes


@dataclass(frozen=True, kw_only=True)
class MomentumSolver(SpectralSolver):
    """Gradient steps of size ``lr`` (divided by n if ``mean``) with one constant ``momentum``, from two starts of 0."""

    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64)

    lr: float = 0.01
    momentum: float = 0.9
    normalize: Normalization = "mean"

    @abstractmethod
    def step(self, now: Tensor, before: Tensor, eigenvalues: Tensor, lr: Tensor | float) -> Tensor:
        """The response after the next step, from the last two; ``lr`` is divided by what it has to be."""

    @final
    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The recursion of `step`, from two responses of 0."""
        eigenvalues = spectrum.eigenvalues
        lr = self.lr / divisor(spectrum, self.normalize)

        def update(_: int, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            now, before = state
            return self.step(now, before, eigenvalues, lr), now

        start = torch.zeros_like(eigenvalues)
        return unroll((start, start), update, steps, read=lambda state: state[0])

    @final
    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Step sizes up to beyond twice gd's edge, the most that momentum makes stable; any momentum below 1."""
        return {
            "lr": step_sizes(spectrum, self.normalize, 1e-3, 5.0),
            "momentum": Range(0.0, 0.98),
        }
