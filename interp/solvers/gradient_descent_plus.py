"""GD++."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver, unroll

_State = tuple[Tensor, Tensor, Tensor]
"""The current eigenvalues, what is left of b times what is left of q, and the response so far."""


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescentPlus(SpectralSolver):
    """Gradient descent that also straightens its inputs (von Oswald et al. 2022, section 4 and appendix A.10).

    Each step takes a sum-normalised gradient step of size ``lr`` and maps every input, the query included, by
    ``x <- (I - gamma X^T X) x`` with the current X. Per eigenvalue: lambda <- lambda (1 - gamma lambda)^2,
    b <- (1 - gamma lambda)(1 - lr lambda) b, q <- (1 - gamma lambda) q, and the prediction gains lr b q.
    With gamma 0 it is gradient descent; its first step always is. ``lr`` and ``gamma`` are one number shared by
    all steps, or a tuple with one per step.
    """

    name: ClassVar[str] = "gd++"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 8, 12, 16)

    lr: float | tuple[float, ...] = 0.01
    gamma: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        per_step = {len(value) for value in (self.lr, self.gamma) if isinstance(value, tuple)}
        if len(per_step) > 1:
            raise ValueError(f"`lr` and `gamma` must cover the same number of steps, got {sorted(per_step)}.")

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The sum of ``lr * (what is left of b) * (what is left of q)`` over the steps taken."""
        self._check_length(max(steps))
        start = spectrum.eigenvalues
        ones = torch.ones_like(start)

        def update(k: int, state: _State) -> _State:
            eigenvalues, left, response = state
            lr, gamma = _at(self.lr, k), _at(self.gamma, k)
            square = (1 - gamma * eigenvalues) ** 2
            return eigenvalues * square, left * square * (1 - lr * eigenvalues), response + lr * left

        return unroll((start, ones, torch.zeros_like(start)), update, steps, read=lambda state: state[2])

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Step size up to eight times gd's edge, which straightening moves; gamma from 0, which is gradient descent.

        It goes up to beyond where the leading direction changes sign.
        """
        edge = 2 / spectrum.top
        return {"lr": Range(1e-2 * edge, 8 * edge, log=True), "gamma": Range(0.0, 0.6 * edge)}

    def _check_length(self, n_steps: int) -> None:
        for name in ("lr", "gamma"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) < n_steps:
                raise ValueError(
                    f"gd++ was given {len(value)} values of `{name}`, one per step, and asked for {n_steps} steps; "
                    "give as many values as steps, or one number for all."
                )


def _at(value: float | tuple[float, ...], k: int) -> float:
    return value[k] if isinstance(value, tuple) else value
