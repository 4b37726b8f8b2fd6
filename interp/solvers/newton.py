"""Iterative Newton."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import Responses, SpectralSolver, unroll


@final
@dataclass(frozen=True, kw_only=True)
class Newton(SpectralSolver):
    """Newton-Schulz iteration for the inverse of S: ``M <- 2 M - M S M``, ``w_k = M_k X^T y`` (Fu et al. 2023).

    The start is ``M_0 = c S`` (``start="gram"``) or ``alpha I`` (``"identity"``). ``scale`` sets c:
    ``frobenius`` 1/|S S^T|_F, the released code's; ``spectral`` 1/|S S^T|_2; ``constant`` the given ``alpha``;
    ``paper`` 2/|S S^T|_2 as printed, which never converges: the leading eigenvalue of I - S M starts at -1 and is 1
    from the first step on, so the trace's status is STALLED. Step k is k updates after M_0.
    From ``alpha I``, k steps equal 2^k gradient steps of size alpha (sum-normalised).
    """

    name: ClassVar[str] = "newton"
    default_steps: ClassVar[tuple[int, ...]] = tuple(range(24))

    scale: Literal["frobenius", "spectral", "constant", "paper"] = "frobenius"
    alpha: float | None = None
    start: Literal["gram", "identity"] = "gram"

    def __post_init__(self) -> None:
        needs_alpha = self.scale == "constant" or self.start == "identity"
        if needs_alpha and self.alpha is None:
            raise ValueError(
                "Newton needs `alpha`, the factor of its start, with scale='constant' or start='identity'."
            )
        if not needs_alpha and self.alpha is not None:
            raise ValueError(
                f"Newton ignores `alpha` with scale={self.scale!r}; use scale='constant' to start from alpha S."
            )

    def response(self, spectrum: Spectrum, steps: Sequence[int]) -> Responses:
        """The scalar recursion ``p <- 2 p - lambda p^2``, that of M on each eigenvalue.

        It runs on ``s = lambda p``, the share of the solution reached: s <- s (2 - s) stays at 0 from exactly 2 on,
        where the paper's scale starts, while rounding noise in p would double with every step.
        """
        eigenvalues = spectrum.eigenvalues
        shares = unroll(self._start(eigenvalues), lambda _, s: s * (2 - s), steps, read=lambda s: s)
        return shares / eigenvalues

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """``alpha`` where it is free, up to twice what keeps the mean leading eigenvalue stable."""
        if self.start == "identity":
            return {"alpha": Range(1e-4 / spectrum.top, 4 / spectrum.top, log=True)}
        if self.scale == "constant":
            return {"alpha": Range(1e-4 / spectrum.top**2, 4 / spectrum.top**2, log=True)}
        return {}

    def _start(self, eigenvalues: Tensor) -> Tensor:
        """The eigenvalues of S M_0."""
        if self.start == "identity":
            assert self.alpha is not None
            return self.alpha * eigenvalues
        squares = eigenvalues**2
        if self.scale == "constant":
            assert self.alpha is not None
            return self.alpha * squares
        if self.scale == "frobenius":
            norm = squares.square().sum(-1, keepdim=True).sqrt()
        else:
            norm = squares.amax(-1, keepdim=True)
        factor = 2.0 if self.scale == "paper" else 1.0
        # An empty prefix has S = 0 and nothing to scale.
        return factor * (squares / norm.where(norm > 0, 1.0))
