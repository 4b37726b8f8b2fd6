"""L-BFGS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.line_search import LineSearch, step_length
from interp.solvers.quasi_newton import dot, first_scale, going, ratio
from interp.solvers.regressions import Regressions
from interp.solvers.spectral import unroll
from interp.solvers.weight_solver import Weights, WeightSolver

_Pair = tuple[Tensor, Tensor, Tensor]
"""A step s, the gradient's change y with it, and 1 / s.y."""
_State = tuple[Tensor, tuple[_Pair, ...]]
"""The weights' coordinates, and the last pairs, oldest first."""


@final
@dataclass(frozen=True, kw_only=True)
class LBFGS(WeightSolver):
    """BFGS that remembers its last ``memory`` steps, not a matrix, from 0 (Nocedal and Wright 2006, section 7.2).

    Each direction comes from the two-loop recursion (algorithm 7.4), which starts from s.y / y.y of the last step times
    the identity (equation 7.20). ``line_search`` and ``first_step`` are those of `BFGS`; with the exact search the
    iterates are those of conjugate gradient, whatever the memory. Not linear in the targets.
    Raises ValueError for a ``memory`` below 1 and a ``first_step`` that is not positive.
    """

    name: ClassVar[str] = "lbfgs"
    default_steps: ClassVar[tuple[int, ...]] = tuple(range(1, 25))

    memory: int = 10
    line_search: LineSearch = "backtracking"
    first_step: float = 1.0

    def __post_init__(self) -> None:
        if self.memory < 1 or self.memory != int(self.memory):
            raise ValueError(f"L-BFGS needs a `memory` of at least 1 step, a whole number; got {self.memory}.")
        if not self.first_step > 0:
            raise ValueError(f"L-BFGS needs a positive `first_step`, got {self.first_step}.")

    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """All problems at once, in the coordinates of their eigenvectors: there S is diagonal, and its null space 0."""
        spectrum = problems.spectrum
        eigenvalues, moment = spectrum.eigenvalues, spectrum.moment

        def update(_: int, state: _State) -> _State:
            point, pairs = state
            downhill = moment - eigenvalues * point
            moving = going(downhill, moment)
            if not moving.any():
                return state
            direction = _two_loops(downhill, pairs) if pairs else first_scale(downhill, self.first_step) * downhill
            length = step_length(self.line_search, dot(downhill, direction), dot(direction, eigenvalues * direction))
            s = length * moving * direction
            y = eigenvalues * s
            latest = (s, y, ratio(torch.ones_like(s[..., :1]), dot(s, y)))
            return point + s, (*pairs, latest)[-self.memory :]

        start: _State = (torch.zeros_like(moment), ())
        return spectrum.weights(unroll(start, update, steps, read=lambda state: state[0]))


def _two_loops(downhill: Tensor, pairs: Sequence[_Pair]) -> Tensor:
    """The remembered steps' estimate of the inverse of S, times ``downhill``."""
    direction, shares = downhill, []
    for s, y, rho in reversed(pairs):
        share = rho * dot(s, direction)
        direction = direction - share * y
        shares.append(share)
    s, y, _ = pairs[-1]
    direction = ratio(dot(s, y), dot(y, y)) * direction
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - rho * dot(y, direction)) * s
    return direction
