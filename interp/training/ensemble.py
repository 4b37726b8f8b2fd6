"""Many seeds of one recipe, one update at a time."""

from collections.abc import Sequence
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp._precision import Precision, computing_in
from interp.models.build import build_model
from interp.models.folders import read_named_weights
from interp.models.regressor import RegressionModel
from interp.training.feed import Feed
from interp.training.recipe import Recipe
from interp.training.stack import Member, Stack


class Ensemble:
    """Seeds that are updated together, each on data of its own. Use it as a context: it draws data in threads."""

    def __init__(
        self,
        recipe: Recipe,
        seeds: Sequence[int],
        members: Sequence[Member],
        *,
        device: torch.device,
        precision: Precision = "fp32",
        compile: bool = False,
    ) -> None:
        self.seeds = list(seeds)
        self.stack = Stack(members, recipe)
        self._recipe, self._device, self._precision = recipe, device, precision
        self._feed = Feed(recipe, seeds, device)
        if compile:
            self.stack.compile()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go."""
        self._feed.close()

    def update(self, step: int) -> Float[Tensor, " member"]:
        """Update every member; returns the losses before."""
        tokens, ys = self._feed.take(step)
        # Fused kernels of attention lack rules for torch.func.vmap: on the CPU all of them, on CUDA those of gradients,
        # which would be taken member by member.
        with computing_in(self._precision, self._device), sdpa_kernel([SDPBackend.MATH]):
            gradients, losses = self.stack.gradients(tokens, ys)
        self.stack.update(gradients, self._recipe.lr_at(step))
        return losses

    def keep(self, members: Sequence[int]) -> None:
        """Leave all other members out."""
        self.seeds = [self.seeds[index] for index in members]
        self.stack.keep(members)
        self._feed.keep(self.seeds)

    def model(self, member: int) -> RegressionModel:
        """A member as a model of its own, on the CPU. Raises ValueError for weights that are not finite."""
        model: RegressionModel = build_model(self._recipe.model, self._recipe.task)
        read_named_weights(model, self.stack.weights_of(member), f"Seed {self.seeds[member]}")
        return model
