"""Nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions
from interp.solvers.weightless import WeightlessPredictor


@final
@dataclass(frozen=True, kw_only=True)
class NearestNeighbours(WeightlessPredictor):
    """The mean target of the examples nearest to the query, by Euclidean distance; one-shot.

    A baseline of Garg et al. 2022, section 3, with 3 neighbours. A prefix with fewer examples answers with the mean of
    those there, an empty one with 0. Its predictions are not linear in the query, so that its weights are given as 0.
    Raises ValueError for less than one neighbour.
    """

    name: ClassVar[str] = "knn"

    neighbours: int = 3

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.neighbours != int(self.neighbours):
            raise ValueError(f"k-NN needs at least 1 of `neighbours`, a whole number; got {self.neighbours}.")

    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """The mean over the nearest examples, for every query of every prefix."""
        longest = max(problems.prefixes)
        xs, ys = problems.xs[:, :longest], problems.ys[:, :longest]
        queries = rearrange(problems.queries, "prompt prefix query dim -> prompt (prefix query) dim")
        # Not by way of squares: neighbours far from the origin would be told apart by rounding noise.
        distances = torch.cdist(queries, xs, compute_mode="donot_use_mm_for_euclid_dist")
        seen = torch.tensor(problems.prefixes, device=xs.device).repeat_interleave(problems.queries.shape[2])[:, None]
        hidden = torch.arange(longest, device=xs.device) >= seen  # [column point]
        nearest = distances.masked_fill(hidden, torch.inf).topk(min(self.neighbours, longest), largest=False)
        found = nearest.values.isfinite()
        targets = ys[:, None, :].expand_as(distances).gather(2, nearest.indices)
        means = torch.where(found, targets, 0.0).sum(-1) / found.sum(-1).clamp(min=1)
        return means.expand(len(steps), *means.shape)
