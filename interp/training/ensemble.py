"""Many seeds of one recipe, one update at a time."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp._devices import usable_cores
from interp._precision import Precision, computing_in
from interp.models.build import build_model
from interp.models.folders import read_named_weights
from interp.models.regressor import RegressionModel
from interp.training.data import training_prompts
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
        self._recipe, self._layout = recipe, members[0].model
        self._device, self._precision = device, precision
        # Generators of the CPU take one core each, a GPU is fed by one.
        self._threads = ThreadPoolExecutor(1 if device.type == "cuda" else usable_cores())
        self._ahead_of = -1
        self._ahead: dict[int, Future[tuple[Tensor, Tensor]]] = {}
        if compile:
            self.stack.compile()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown()

    def update(self, step: int) -> Float[Tensor, " member"]:
        """Update every member; returns the losses before."""
        tokens, ys = zip(*self._drawn(step), strict=True)
        # Fused kernels of attention lack rules for torch.func.vmap: on the CPU all of them, on CUDA those of gradients,
        # which would be taken member by member.
        with computing_in(self._precision, self._device), sdpa_kernel([SDPBackend.MATH]):
            gradients, losses = self.stack.gradients(torch.stack(tokens), torch.stack(ys))
        self.stack.update(gradients, self._recipe.lr_at(step))
        return losses

    def keep(self, members: Sequence[int]) -> None:
        """Leave all other members out."""
        self.seeds = [self.seeds[index] for index in members]
        self.stack.keep(members)

    def model(self, member: int) -> RegressionModel:
        """A member as a model of its own, on the CPU. Raises ValueError for weights that are not finite."""
        model: RegressionModel = build_model(self._recipe.model, self._recipe.task)
        read_named_weights(model, self.stack.weights_of(member), f"Seed {self.seeds[member]}")
        return model

    def _drawn(self, step: int) -> list[tuple[Tensor, Tensor]]:
        """What each seed trains on; meanwhile the threads draw for the update after."""
        ahead = self._ahead if self._ahead_of == step else self._draw(step)
        batches = [ahead[seed].result() for seed in self.seeds]
        self._ahead_of, self._ahead = step + 1, self._draw(step + 1) if step + 1 < self._recipe.steps else {}
        return batches

    def _draw(self, step: int) -> dict[int, Future[tuple[Tensor, Tensor]]]:
        return {seed: self._threads.submit(self._batch, seed, step) for seed in self.seeds}

    def _batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        prompts = training_prompts(self._recipe, seed, step, self._device)
        return self._layout.tokens(prompts), prompts.ys
