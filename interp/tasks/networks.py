"""In-context regression on two-layer ReLU networks."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.functions import AbstractFunctions


@final
@dataclass(frozen=True, kw_only=True)
class ReluNetworks(AbstractFunctions):
    """Prompts whose targets are ``y = sqrt(2 / hidden) sum_i a_i relu(w_i . x)``, all a and w standard normal.

    So E y^2 = |x|^2 at an input x, as for linear regression with standard normal weights, and dim on average (Garg et
    al. 2022, section 5; the released code's scale). Inputs are standard normal. The ``function`` of a prompt holds w
    [dim hidden], row by row, and then a [hidden]. Raises ValueError for sizes below 1.
    """

    hidden: int = 100
    """Number of hidden units."""
    kind: Literal["relu_networks"] = "relu_networks"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1:
            raise ValueError(f"`hidden` must be at least 1, got {self.hidden}.")

    @property
    def n_parameters(self) -> int:
        """All weights: hidden (dim + 1)."""
        return self.hidden * (self.dim + 1)

    def draw(self, n_prompts: int, seed: int) -> Float[Tensor, "prompt parameter"]:
        """Standard normal weights; the two layers come from separate streams."""
        sizes = {"hidden weights": self.dim * self.hidden, "output weights": self.hidden}
        layers = [torch.randn(n_prompts, size, generator=make_generator(seed, name)) for name, size in sizes.items()]
        return torch.cat(layers, dim=1)

    def evaluate(
        self, function: Float[Tensor, "prompt parameter"], xs: Float[Tensor, "prompt point dim"]
    ) -> Float[Tensor, "prompt point"]:
        """The networks' outputs; for n points this takes room for n hidden numbers per prompt."""
        first, second = function.split([self.dim * self.hidden, self.hidden], dim=1)
        units = torch.relu(xs @ first.unflatten(1, (self.dim, self.hidden)))
        return math.sqrt(2 / self.hidden) * torch.einsum("pth,ph->pt", units, second)
