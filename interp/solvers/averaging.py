"""Averaging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver
from interp.solvers.step_size import divisor, step_sizes


@final
@dataclass(frozen=True, kw_only=True)
class Averaging(SpectralSolver):
    """The mean of ``y_i x_i`` over the examples, times ``scale``; one-shot (Garg et al. 2022, section 3, scale 1).

    Where inputs have the identity for covariance its expectation is the true weight vector. It is the first step of
    mean-normalised gradient descent with lr = scale. Raises ValueError for a scale of 0, which would predict nothing.
    """

    name: ClassVar[str] = "averaging"
    default_steps: ClassVar[tuple[int, ...]] = (1,)

    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale == 0:
            raise ValueError("Averaging needs a `scale` other than 0; the solver that predicts 0 is 'zero'.")

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """``scale / n``, the same for every eigenvalue."""
        return self.fixed_point(spectrum).expand(len(steps), *spectrum.eigenvalues.shape)

    def fixed_point(self, spectrum: Spectrum) -> Tensor:
        """Averaging is its own goal."""
        return self.scale / divisor(spectrum, "mean") * torch.ones_like(spectrum.eigenvalues)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """As the step size of gradient descent."""
        return {"scale": step_sizes(spectrum, "mean", 1e-3, 5.0)}
