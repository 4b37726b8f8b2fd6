"""What a solver is given: least-squares problems, one for each prefix of each prompt, and what is asked of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.solvers.lasso_path import LassoPath
from interp.tasks import Prompts

RANK_TOLERANCE = 1e-12
"""Eigenvalues below this share of the largest are taken for rounding noise of a rank-deficient prefix."""


@dataclass(frozen=True)
class Spectrum:
    """The eigendecomposition ``S = X^T X = Q diag(eigenvalues) Q^T`` of every prefix.

    Eigenvalues of the null space are exactly 0, and so is the moment along it: X^T y lies in the range of S, and
    what rounding leaves outside it would otherwise grow with the number of steps.
    """

    eigenvalues: Float[Tensor, "prompt prefix dim"]
    vectors: Float[Tensor, "prompt prefix dim dim"]
    """Eigenvectors in columns."""
    moment: Float[Tensor, "prompt prefix dim"]
    """``Q^T X^T y``."""
    n_examples: Float[Tensor, "1 prefix 1"]
    """Length of each prefix."""

    @cached_property
    def top(self) -> float:
        """Largest eigenvalue of the longest prefix, averaged over prompts: the scale of every step size."""
        longest = int(self.n_examples.flatten().argmax())
        return self.eigenvalues[:, longest].amax(-1).mean().item()

    @property
    def longest(self) -> int:
        """Number of examples in the longest prefix."""
        return int(self.n_examples.max().item())

    def weights(self, coordinates: Float[Tensor, "step prompt prefix dim"]) -> Float[Tensor, "step prompt prefix dim"]:
        """The weight vectors that have these coordinates along the eigenvectors."""
        # [prompt prefix dim dim] @ [prompt prefix dim step]: one batched product for all steps
        columns = rearrange(coordinates, "step prompt prefix dim -> prompt prefix dim step")
        return rearrange(self.vectors @ columns, "prompt prefix dim step -> step prompt prefix dim")

    def split(self, n_prompts: int) -> Iterator[Self]:
        """The same spectrum in blocks of at most ``n_prompts`` prompts, in order."""
        parts = (torch.split(values, n_prompts) for values in (self.eigenvalues, self.vectors, self.moment))
        for eigenvalues, vectors, moment in zip(*parts, strict=True):
            yield replace(self, eigenvalues=eigenvalues, vectors=vectors, moment=moment)


@dataclass(frozen=True)
class Regressions:
    """Prefixes of prompts, in float64, with the queries asked after each prefix.

    A *column* is one (prefix, query) pair; predictions have one value per column.
    """

    xs: Float[Tensor, "prompt point dim"]
    ys: Float[Tensor, "prompt point"]
    prefixes: tuple[int, ...]
    """How many examples each prefix has seen."""
    queries: Float[Tensor, "prompt prefix query dim"]
    targets: Float[Tensor, "prompt column"]
    """The true y of every query."""

    @classmethod
    def every_prefix(cls, xs: Tensor, ys: Tensor) -> Self:
        """Ask at every point t for y_t, given the t points before it. Raises ValueError as `Prompts` does."""
        return cls.of(Prompts(xs=xs, ys=ys), points=range(xs.shape[1]))

    @classmethod
    def of(cls, prompts: Prompts, points: Sequence[int] | None = None) -> Self:
        """Ask what a model is asked: at the given points, or (by default) every query of the prompt.

        Raises ValueError for ``points`` together with several queries, and for points that the prompts lack.
        """
        prompts = prompts.to(dtype=torch.float64)
        if points is None:
            n = prompts.n_examples
            prefixes: tuple[int, ...] = (n,)
            queries, targets = prompts.xs[:, None, n:], prompts.ys[:, n:]
        else:
            if prompts.n_queries > 1:
                raise ValueError(
                    f"`points` name one query each, but these prompts have {prompts.n_queries} queries after one "
                    "prefix; leave `points` out to ask all of them."
                )
            prefixes = tuple(points)
            if not prefixes or min(prefixes) < 0 or max(prefixes) >= prompts.n_points:
                raise ValueError(
                    f"`points` must lie in 0..{prompts.n_points - 1} for prompts of {prompts.n_points} points, "
                    f"got {list(prefixes)}."
                )
            index = torch.tensor(prefixes, device=prompts.xs.device)
            queries, targets = prompts.xs[:, index, None], prompts.ys[:, index]
        return cls(xs=prompts.xs, ys=prompts.ys, prefixes=prefixes, queries=queries, targets=targets)

    @cached_property
    def spectrum(self) -> Spectrum:
        """One batched eigendecomposition, from which every spectral solver takes all of its steps."""
        gram, moment = self.sums()
        eigenvalues, vectors = torch.linalg.eigh(gram)
        top = eigenvalues[..., -1:].clamp(min=0)
        inside = eigenvalues > RANK_TOLERANCE * top
        rotated = (moment[..., None, :] @ vectors)[..., 0, :]
        return Spectrum(
            eigenvalues=torch.where(inside, eigenvalues, 0.0),
            vectors=vectors,
            moment=torch.where(inside, rotated, 0.0),
            n_examples=torch.tensor(self.prefixes, dtype=gram.dtype, device=gram.device)[None, :, None],
        )

    @cached_property
    def query_moments(self) -> Float[Tensor, "prompt prefix query dim"]:
        """``(Q^T x_query) * (Q^T X^T y)``: a spectral solver's prediction is its response times this, summed."""
        return (self.queries @ self.spectrum.vectors) * self.spectrum.moment[:, :, None, :]

    @cached_property
    def lasso_path(self) -> LassoPath:
        """The lasso's solutions for every penalty, so that a search for the best follows the path once."""
        return LassoPath.of(*self.sums())

    def sums(self) -> tuple[Float[Tensor, "prompt prefix dim dim"], Float[Tensor, "prompt prefix dim"]]:
        """``X^T X`` and ``X^T y`` of every prefix."""
        if len(self.prefixes) == 1:
            xs, ys = self.xs[:, : self.prefixes[0]], self.ys[:, : self.prefixes[0]]
            return torch.einsum("pti,ptj->pij", xs, xs)[:, None], torch.einsum("pti,pt->pi", xs, ys)[:, None]
        longest = max(self.prefixes)
        xs, ys = self.xs[:, :longest], self.ys[:, :longest]
        points = torch.arange(longest, device=xs.device)
        # [prefix point]: which examples a prefix has seen. One product with it sums all prefixes at once.
        seen = (points < torch.tensor(self.prefixes, device=xs.device)[:, None]).to(xs)
        gram = seen @ (xs[..., :, None] * xs[..., None, :]).flatten(2)
        return gram.reshape(*gram.shape[:2], *xs.shape[-1:] * 2), seen @ (xs * ys[..., None])
