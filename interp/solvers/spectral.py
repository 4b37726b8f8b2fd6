"""Solvers that act on each eigendirection of S on its own."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.solver import AbstractSolver
from interp.solvers.trace import SolverTrace, classify

State = TypeVar("State")

Responses = Float[Tensor, "step prompt prefix dim"]

BLOCK = 2**18
"""Responses held at once while predicting: 2 MiB, so that they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class SpectralSolver(AbstractSolver):
    """A solver whose weights are ``Q g_k(lambda) Q^T X^T y``, with a scalar function g_k for each step k.

    A subclass writes g_k and nothing else; one eigendecomposition per prefix then gives every step of every such
    solver at once.
    """

    @abstractmethod
    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """g_k at every eigenvalue. Must be finite at 0 unless the solver diverges; the moment vanishes there."""

    def fixed_point(self, spectrum: Spectrum) -> Float[Tensor, "prompt prefix dim"]:
        """The response that the solver tends to on the range of S: that of least squares unless overridden."""
        return 1 / spectrum.eigenvalues

    @final
    def trace(self, problems: Regressions, steps: Sequence[int]) -> SolverTrace:
        """Iterates on the given problems, from their shared eigendecomposition."""
        spectrum = problems.spectrum
        response = self._range_response(spectrum, steps)
        weights = spectrum.weights(response * spectrum.moment)
        predictions = torch.einsum("sptd,ptqd->sptq", weights, problems.queries).flatten(2)
        residual = 1 - response / self.fixed_point(spectrum)
        return SolverTrace(
            steps=tuple(steps),
            predictions=predictions,
            weights=weights,
            statuses=classify(residual, spectrum.eigenvalues, steps),
        )

    @final
    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """Predictions alone: the response times the query moments."""
        spectrum, moments = problems.spectrum, problems.query_moments
        block = max(1, BLOCK // (len(steps) * spectrum.eigenvalues.shape[1:].numel()))
        predictions = [
            torch.einsum("sptd,ptqd->sptq", self._range_response(part, steps), query_moments)
            for part, query_moments in zip(spectrum.split(block), torch.split(moments, block), strict=True)
        ]
        return torch.cat(predictions, dim=1).flatten(2)

    def _range_response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The response on the range of S, and 0 on its null space, where there is nothing to respond to."""
        return torch.where(spectrum.eigenvalues > 0, self.response(spectrum, steps), 0.0)


def unroll(
    start: State, update: Callable[[int, State], State], steps: Sequence[int], read: Callable[[State], Tensor]
) -> Float[Tensor, "step ..."]:
    """Iterate ``update(k, state)`` from ``start``; stack what ``read`` takes from the states at ``steps``, in order."""
    wanted = set(steps)
    state, kept = start, {}
    for k in range(max(steps) + 1):
        if k in wanted:
            kept[k] = read(state)
        if k < max(steps):
            state = update(k, state)
    return torch.stack([kept[k] for k in steps])
