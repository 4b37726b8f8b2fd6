"""BFGS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.line_search import LineSearch, step_length
from interp.solvers.quasi_newton import dot, first_scale, going, ratio
from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.spectral import BLOCK, unroll
from interp.solvers.weight_solver import Weights, WeightSolver

_State = tuple[Tensor, Tensor | None]
"""The weights' coordinates, and the estimate H of the inverse of S, [prompt prefix dim dim], once there is one."""


@final
@dataclass(frozen=True, kw_only=True)
class BFGS(WeightSolver):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno, from 0 (Nocedal and Wright 2006, section 6.1).

    H estimates the inverse of S. Each step goes along ``-H gradient`` and then makes ``H y = s`` (equation 6.17) for
    the step s and the gradient's change y. The first direction is the gradient's, of length ``first_step`` (in units
    of w); after it H starts as s.y / y.y times the identity (equation 6.20).

    ``line_search="backtracking"``, the default, tries the full step first and halves it until Armijo's condition holds,
    as is done in practice. ``"exact"`` goes to the minimum along the direction: then the iterates are those of
    conjugate gradient (Dixon 1972), and ``first_step`` changes nothing. The objective falls with every step of either.
    Not linear in the targets. Raises ValueError for a ``first_step`` that is not positive.
    """

    name: ClassVar[str] = "bfgs"
    default_steps: ClassVar[tuple[int, ...]] = tuple(range(1, 25))

    line_search: LineSearch = "backtracking"
    first_step: float = 1.0

    def __post_init__(self) -> None:
        if not self.first_step > 0:
            raise ValueError(f"BFGS needs a positive `first_step`, got {self.first_step}.")

    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """All problems at once, in the coordinates of their eigenvectors: there S is diagonal, and its null space 0."""
        spectrum = problems.spectrum
        block = max(1, BLOCK // spectrum.vectors.shape[1:].numel())
        coordinates = [self._coordinates(part, steps) for part in spectrum.split(block)]
        return spectrum.weights(torch.cat(coordinates, dim=1))

    def _coordinates(self, spectrum: Spectrum, steps: Sequence[int]) -> Weights:
        eigenvalues, moment = spectrum.eigenvalues, spectrum.moment

        def update(_: int, state: _State) -> _State:
            point, inverse = state
            downhill = moment - eigenvalues * point
            moving = going(downhill, moment)
            if not moving.any():
                return state
            if inverse is None:
                direction = first_scale(downhill, self.first_step) * downhill
            else:
                direction = (inverse @ downhill[..., None])[..., 0]
            length = step_length(self.line_search, dot(downhill, direction), dot(direction, eigenvalues * direction))
            s = length * moving * direction
            y = eigenvalues * s
            if inverse is None:
                inverse = torch.diag_embed(ratio(dot(s, y), dot(y, y)).expand_as(s))
            return point + s, _updated(inverse, s, y)

        start: _State = (torch.zeros_like(moment), None)
        return unroll(start, update, steps, read=lambda state: state[0])


def _updated(inverse: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """``(I - rho s y^T) H (I - rho y s^T) + rho s s^T`` with rho = 1 / s.y, multiplied out; H itself where s is 0."""
    rho = ratio(torch.ones_like(s[..., :1]), dot(s, y))
    image = rho * (inverse @ y[..., None])[..., 0]  # rho H y
    # H is symmetric, so that the change is one outer product and its transpose.
    half = 0.5 * rho * (1 + dot(y, image)) * s - image
    outer = s[..., :, None] * half[..., None, :]
    return inverse + outer + outer.mT
