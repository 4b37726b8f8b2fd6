"""The spectral response: which share of the solution a layer reaches along each eigendirection of X^T X."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from interp.solvers import Regressions, Spectrum
from probes import resampling_weights
from probes.intervals import LEVEL

N_BINS = 6
"""Bins of eigenvalues, as many for each prefix, unless said otherwise."""


@dataclass(frozen=True)
class EigenvalueBins:
    """For each prefix, bins that hold equally many of the eigenvalues they were made from."""

    edges: Float[Tensor, "prefix inner_edge"]

    @classmethod
    def of(cls, spectrum: Spectrum, n_bins: int = N_BINS) -> "EigenvalueBins":
        """Quantiles of the eigenvalues above 0 of all prompts. Raises ValueError for fewer than one bin."""
        if n_bins < 1:
            raise ValueError(f"A response needs at least one bin of eigenvalues, got n_bins={n_bins}.")
        shares = torch.linspace(0, 1, n_bins + 1, dtype=torch.float64)[1:-1].to(spectrum.eigenvalues.device)
        edges = []
        for values in spectrum.eigenvalues.unbind(1):
            inside = values[values > 0]
            edges.append(torch.quantile(inside, shares) if len(inside) else torch.full_like(shares, torch.inf))
        return cls(torch.stack(edges))

    @property
    def count(self) -> int:
        """Number of bins of a prefix."""
        return self.edges.shape[1] + 1

    def assign(self, spectrum: Spectrum) -> Int[Tensor, "prompt prefix dim"]:
        """The bin of every eigenvalue; those of the null space are in bin 0, where they weigh nothing."""
        by_prefix = spectrum.eigenvalues.movedim(1, 0).contiguous()
        placed = torch.searchsorted(self.edges, by_prefix.flatten(1), right=True)
        return placed.reshape(by_prefix.shape).movedim(0, 1)


@dataclass(frozen=True)
class ResponseSums:
    """What the responses of several weight vectors per prefix are ratios of, prompt by prompt.

    A spectral filter has ``Q^T w = g(lambda) Q^T X^T y``. Its *response* at an eigenvalue is the share of the
    least-squares solution that it reaches there, ``s = lambda g(lambda)``: 0 knows nothing, 1 has solved. Within a bin
    it is estimated by regressing ``Q^T w`` on the solution ``c = Q^T X^T y / lambda`` through the origin, with weights
    lambda: that is how much a direction counts in the answers, and it keeps the noise of small eigenvalues, which c
    magnifies, from deciding.
    """

    product: Float[Tensor, "subject prompt cell"]
    """Sum of ``lambda (Q^T w) c`` over the directions of a prompt in a cell, that is a prefix and a bin."""
    square: Float[Tensor, "prompt cell"]
    """Sum of ``lambda c^2``."""

    @classmethod
    def of(
        cls,
        weights: Float[Tensor, "subject prompt prefix dim"],
        problems: Regressions,
        bins: EigenvalueBins,
        bound: float = math.inf,
    ) -> "ResponseSums":
        """Sums of several subjects (layers, or a solver's steps) on the same problems.

        The share of each direction is cut at ``bound``, up and down: a solver that diverges on one prompt is then wrong
        there, and not everywhere.
        """
        spectrum, place = problems.spectrum, bins.assign(problems.spectrum)
        return cls(
            product=_gather(_along_axes(weights, spectrum, bound) * spectrum.moment, place, bins.count),
            square=_gather((spectrum.moment * _solution(spectrum))[None], place, bins.count)[0],
        )

    @property
    def filled(self) -> Bool[NDArray[np.bool_], " cell"]:
        """Cells that hold any direction in enough prompts for a bootstrap to vary: two at least."""
        return np.asarray(((self.square > 0).sum(0) >= 2).cpu())

    def responses(self) -> Float[NDArray[np.float64], "subject cell"]:
        """The response of every subject in every cell; NaN in empty ones."""
        return _ratio(np.asarray(self.product.sum(1).cpu()), np.asarray(self.square.sum(0).cpu()))

    def resampled(self) -> Float[NDArray[np.float64], "resample subject cell"]:
        """The same in bootstrap resamples of the prompts, each of which may leave some cells empty."""
        drawn = resampling_weights(self.square.shape[0])
        product = np.einsum("rp,spc->rsc", drawn, np.asarray(self.product.cpu()), optimize=True)
        return _ratio(product, (drawn @ np.asarray(self.square.cpu()))[:, None])


def response_table(
    weights: Float[Tensor, "layer prompt prefix dim"],
    problems: Regressions,
    bins: EigenvalueBins | None = None,
    bound: float = math.inf,
) -> pd.DataFrame:
    """The response of every layer at every prefix, bin by bin.

    Columns: layer, n_examples, bin, eigenvalue (the mean over the bin, weighted as the response is), share (lambda
    g(lambda)), ci_low, ci_high (95 % bootstrap over prompts), and, the same for all bins of a layer and prefix,
    explained (the part of the squared norm of X w that a response constant within bins accounts for) and outside (the
    part of the squared norm of w in the null space of S, where no function of S times X^T y reaches). With a ``bound``
    the shares of all directions are cut there first, as in `ResponseSums.of`.
    """
    bins = bins or EigenvalueBins.of(problems.spectrum)
    sums = ResponseSums.of(weights, problems, bins, bound)
    shares = sums.responses()
    low, high = _intervals(sums)
    eigenvalues = _mean_eigenvalues(problems.spectrum, bins)
    explained, outside = _fit(_along_axes(weights, problems.spectrum, bound), problems.spectrum, bins, shares)
    rows = []
    for layer in range(len(weights)):
        for cell in np.flatnonzero(sums.filled):
            prefix, which = divmod(int(cell), bins.count)
            rows.append(
                {
                    "layer": layer,
                    "n_examples": problems.prefixes[prefix],
                    "bin": which,
                    "eigenvalue": eigenvalues[cell],
                    "share": shares[layer, cell],
                    "ci_low": low[layer, cell],
                    "ci_high": high[layer, cell],
                    "explained": explained[layer, prefix],
                    "outside": outside[layer, prefix],
                }
            )
    return pd.DataFrame(rows)


def similarity_of_responses(
    a: Float[NDArray[np.float64], "... cell"], b: Float[NDArray[np.float64], "... cell"]
) -> Float[NDArray[np.float64], "..."]:
    """``2 a . b / (|a|^2 + |b|^2)`` over cells: 1 where the responses are equal, 0 where either is 0 everywhere.

    Unlike a cosine it sees scale. Every direction counts alike, however little it moves the answers. Two responses of
    0 are equal.
    """
    product, squares = (a * b).sum(-1), (a * a).sum(-1) + (b * b).sum(-1)
    return np.where(squares > 0, 2 * product / np.where(squares > 0, squares, 1.0), 1.0)


def _intervals(
    sums: ResponseSums,
) -> tuple[Float[NDArray[np.float64], "subject cell"], Float[NDArray[np.float64], "subject cell"]]:
    """Ends of the 95 % intervals of filled cells, over the resamples that leave any prompt in them; NaN elsewhere."""
    resampled = sums.resampled()
    ends = np.full((2, *resampled.shape[1:]), np.nan)
    tail = 50 * (1 - LEVEL)
    ends[..., sums.filled] = np.nanpercentile(resampled[..., sums.filled], [tail, 100 - tail], axis=0)
    return ends[0], ends[1]


def _along_axes(
    weights: Float[Tensor, "subject prompt prefix dim"], spectrum: Spectrum, bound: float = math.inf
) -> Float[Tensor, "subject prompt prefix dim"]:
    """``Q^T w``, the share of the solution that it is in any direction cut at ``bound``, up and down."""
    along_axes = torch.einsum("sptd,ptde->spte", weights, spectrum.vectors)
    if bound == math.inf:
        return along_axes
    most = bound * _solution(spectrum).abs()
    return along_axes.nan_to_num(nan=math.inf).clamp(-most, most)


def _solution(spectrum: Spectrum) -> Float[Tensor, "prompt prefix dim"]:
    inside = spectrum.eigenvalues > 0
    return torch.where(inside, spectrum.moment / spectrum.eigenvalues.where(inside, 1.0), 0.0)


def _gather(
    values: Float[Tensor, "subject prompt prefix dim"], place: Int[Tensor, "prompt prefix dim"], count: int
) -> Float[Tensor, "subject prompt cell"]:
    """Sum over the directions in each bin."""
    sums = values.new_zeros(*values.shape[:-1], count)
    return sums.scatter_add_(-1, place.expand(values.shape), values).flatten(2)


def _ratio(product: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(square > 0, product / np.where(square > 0, square, 1.0), np.nan)


def _mean_eigenvalues(spectrum: Spectrum, bins: EigenvalueBins) -> NDArray[np.float64]:
    place, weight = bins.assign(spectrum), spectrum.moment * _solution(spectrum)
    total, weights = (
        _gather(part[None], place, bins.count)[0].sum(0) for part in (weight * spectrum.eigenvalues, weight)
    )
    return _ratio(np.asarray(total.cpu()), np.asarray(weights.cpu()))


def unexplained(
    weights: Float[Tensor, "layer prompt prefix dim"], problems: Regressions, bins: EigenvalueBins
) -> tuple[Float[Tensor, "layer prompt prefix"], Float[Tensor, "layer prompt prefix"]]:
    """Squared norm of X w that a response constant within bins leaves, and all of it, prompt by prompt.

    One minus the ratio of their sums over prompts is the column explained of `response_table`.
    """
    shares = ResponseSums.of(weights, problems, bins).responses()
    return _left_and_total(_along_axes(weights, problems.spectrum), problems.spectrum, bins, shares)


def _left_and_total(
    along_axes: Tensor, spectrum: Spectrum, bins: EigenvalueBins, shares: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    response = torch.as_tensor(shares, device=along_axes.device).nan_to_num().unflatten(1, (-1, bins.count))
    place = bins.assign(spectrum)
    at_own = response[:, None].expand(-1, len(place), -1, -1).gather(-1, place.expand(len(along_axes), -1, -1, -1))
    left = (spectrum.eigenvalues * (along_axes - at_own * _solution(spectrum)).square()).sum(-1)
    return left, (spectrum.eigenvalues * along_axes.square()).sum(-1)


def _fit(
    along_axes: Tensor, spectrum: Spectrum, bins: EigenvalueBins, shares: NDArray[np.float64]
) -> tuple[Float[NDArray[np.float64], "layer prefix"], Float[NDArray[np.float64], "layer prefix"]]:
    """How much of the weights a response constant within bins explains, and how much lies where none reaches."""
    left, total = (part.sum(1) for part in _left_and_total(along_axes, spectrum, bins, shares))
    squares = along_axes.square()
    null = torch.where(spectrum.eigenvalues > 0, 0.0, squares).sum((1, 3))
    norm = squares.sum((1, 3))
    return (
        1 - _ratio(np.asarray(left.cpu()), np.asarray(total.cpu())),
        _ratio(np.asarray(null.cpu()), np.asarray(norm.cpu())),
    )
