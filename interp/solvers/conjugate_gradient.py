"""Conjugate gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Regressions
from interp.solvers.spectral import unroll
from interp.solvers.weight_solver import Weights, WeightSolver

RESOLUTION = 1e-15
"""A gradient below this share of the first one is rounding noise: its problem is solved and left alone."""

_State = tuple[Tensor, Tensor, Tensor]
"""The weights' coordinates, the negative gradient, and the direction to go next."""


@final
@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(WeightSolver):
    """Conjugate gradient on the normal equations ``S w = X^T y``, from 0 (Hestenes and Stiefel 1952, section 3).

    Step k minimises ``|y - X w|`` over the span of ``X^T y, S X^T y, ..., S^(k-1) X^T y``: no method whose steps are
    sums of gradients fits the examples better. In exact arithmetic it ends after as many steps as S has distinct
    non-zero eigenvalues. Its polynomial depends on y, so it is not linear in the targets.
    """

    name: ClassVar[str] = "cg"
    default_steps: ClassVar[tuple[int, ...]] = tuple(range(1, 25))

    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """All problems at once, in the coordinates of their eigenvectors: there S is diagonal, and its null space 0."""
        spectrum = problems.spectrum
        eigenvalues, moment = spectrum.eigenvalues, spectrum.moment
        noise = (RESOLUTION * moment.norm(dim=-1, keepdim=True)).square()

        def update(_: int, state: _State) -> _State:
            point, downhill, direction = state
            square = downhill.square().sum(-1, keepdim=True)
            going = square > noise
            if not going.any():
                return state
            image = eigenvalues * direction
            length = torch.where(going, square / (direction * image).sum(-1, keepdim=True), 0.0)
            left = downhill - length * image
            turn = torch.where(going, left.square().sum(-1, keepdim=True) / square, 0.0)
            return point + length * direction, left, left + turn * direction

        start = (torch.zeros_like(moment), moment, moment)
        return spectrum.weights(unroll(start, update, steps, read=lambda state: state[0]))
