"""GD++."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, unroll
from interp.solvers.stepwise import StepValues, StepwiseSolver

_State = tuple[Tensor, Tensor, Tensor]
"""The current eigenvalues, what is left of b times what is left of q, and the response so far."""


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescentPlus(StepwiseSolver):
    """Gradient descent that also straightens its inputs (von Oswald et al. 2022, section 4 and appendix A.10).

    Each step takes a sum-normalised gradient step of size ``lr`` and maps every input, the query included, by
    ``x <- (I - gamma X^T X) x`` with the current X. Per eigenvalue: lambda <- lambda (1 - gamma lambda)^2,
    b <- (1 - gamma lambda)(1 - lr lambda) b, q <- (1 - gamma lambda) q, and the prediction gains lr b q.
    With gamma 0 it is gradient descent; its first step always is, and the last step's gamma changes no prediction.
    ``lr`` and ``gamma`` are one number shared by all steps, or a tuple with one per step.
    """

    name: ClassVar[str] = "gd++"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16)
    stepwise: ClassVar[tuple[str, ...]] = ("lr", "gamma")

    lr: float | tuple[float, ...] = 0.01
    gamma: float | tuple[float, ...] = 0.0

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The sum of ``lr * (what is left of b) * (what is left of q)`` over the steps taken."""
        return self.unrolled(spectrum, steps, self.values_by_step(max(steps)))

    def unrolled(self, spectrum: Spectrum, steps: Sequence[int], values: StepValues) -> Responses:
        """As `response`, with these values of ``lr`` and ``gamma``."""
        start = spectrum.eigenvalues

        def update(k: int, state: _State) -> _State:
            eigenvalues, left, response = state
            lr, gamma = values["lr"][k], values["gamma"][k]
            square = (1 - gamma * eigenvalues) ** 2
            return eigenvalues * square, left * square * (1 - lr * eigenvalues), response + lr * left

        return unroll((start, torch.ones_like(start), torch.zeros_like(start)), update, steps, read=lambda s: s[2])

    def straightened(
        self, eigenvalues: Float[Tensor, "*problem dim"], steps: Sequence[int]
    ) -> Float[Tensor, "step *problem dim"]:
        """What the eigenvalues of X^T X have become after each number of steps, in their places at the start."""
        gamma = self.values_by_step(max(steps))["gamma"]
        return unroll(eigenvalues, lambda k, now: now * (1 - gamma[k] * now) ** 2, steps, read=lambda now: now)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Step size up to eight times gd's edge, which straightening moves; gamma from 0, which is gradient descent.

        It goes up to beyond where the leading direction changes sign.
        """
        edge = 2 / spectrum.top
        return {"lr": Range(1e-2 * edge, 8 * edge, log=True), "gamma": Range(0.0, 0.6 * edge)}
