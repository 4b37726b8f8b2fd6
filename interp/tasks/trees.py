"""In-context regression on decision trees."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.functions import AbstractFunctions

DEEPEST = 16
"""Each prompt holds 2^depth leaves."""


@final
@dataclass(frozen=True, kw_only=True)
class DecisionTrees(AbstractFunctions):
    """Prompts whose targets are read off a full binary tree that looks at the signs of ``depth`` input coordinates.

    Every inner node has a coordinate, uniform among all (one may come twice on a path), and goes left where it is 0 or
    less, right where it is positive. Leaves are standard normal, and so are inputs: E y^2 = 1 (Garg et al. 2022,
    section 5). The ``function`` of a prompt holds the coordinates of the 2^depth - 1 inner nodes, level by level from
    the root and each level from the left, and then the 2^depth leaves from the left. Raises ValueError for sizes below
    1 and depths above 16.
    """

    depth: int = 4
    """Number of comparisons on each path."""
    kind: Literal["decision_trees"] = "decision_trees"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.depth <= DEEPEST:
            raise ValueError(f"`depth` must lie in 1..{DEEPEST} (a tree has 2^depth leaves), got {self.depth}.")

    @property
    def n_parameters(self) -> int:
        """Inner nodes and leaves: 2^(depth + 1) - 1."""
        return 2 ** (self.depth + 1) - 1

    def draw(self, n_prompts: int, seed: int) -> Float[Tensor, "prompt parameter"]:
        """Coordinates and leaves come from separate streams."""
        leaves = 2**self.depth
        coordinates = torch.randint(self.dim, (n_prompts, leaves - 1), generator=make_generator(seed, "coordinates"))
        values = torch.randn(n_prompts, leaves, generator=make_generator(seed, "leaves"))
        return torch.cat([coordinates.to(values), values], dim=1)

    def evaluate(
        self, function: Float[Tensor, "prompt parameter"], xs: Float[Tensor, "prompt point dim"]
    ) -> Float[Tensor, "prompt point"]:
        """All points of all prompts go down their trees together, one level at a time."""
        leaves = 2**self.depth
        coordinates, values = function[:, : leaves - 1].long(), function[:, leaves - 1 :]
        positive = (xs > 0).long()
        # The children of node i are 2 i + 1 and 2 i + 2; the leaves follow the inner nodes.
        node = torch.zeros(xs.shape[:2], dtype=torch.long, device=xs.device)
        for _ in range(self.depth):
            coordinate = coordinates.gather(1, node)
            node = 2 * node + 1 + positive.gather(2, coordinate[..., None])[..., 0]
        return values.gather(1, node - (leaves - 1))
