"""What the seeds of an ensemble train on."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch
from jaxtyping import Float
from torch import Tensor

from interp._devices import usable_cores
from interp.models.config import TransformerConfig
from interp.tasks import LinearRegression
from interp.training.data import data_seed, drawing_on, training_prompts
from interp.training.recipe import Recipe

Batches = tuple[Float[Tensor, "member prompt pos d_token"], Float[Tensor, "member prompt point"]]
"""Tokens and targets of every seed."""


class Feed:
    """Batches of every seed, the ones that each would draw alone.

    They are written into memory that is used again, that of two updates in turn: ten seeds' exceed the caches of a
    core, and fresh memory costs as much as filling it. On the CPU threads draw the next update's while this one's are
    in use; what goes wrong there is raised by `take`.
    """

    def __init__(self, recipe: Recipe, seeds: Sequence[int], device: torch.device) -> None:
        assert isinstance(recipe.model, TransformerConfig)  # the recipes that can be stacked
        self._recipe, self._model, self._device = recipe, recipe.model, device
        self._seeds, self._memory = list(seeds), dict[int, Batches]()
        self._drawn, self._pending = -1, list[Future[None]]()
        # A generator of the CPU takes one core. A GPU draws by itself, and only has to be told.
        self._threads = None if device.type == "cuda" else ThreadPoolExecutor(usable_cores())
        self._scratch = threading.local()

    def close(self) -> None:
        """Let the threads go."""
        if self._threads is not None:
            self._threads.shutdown()

    def keep(self, seeds: Sequence[int]) -> None:
        """Draw for these seeds alone from now on."""
        self._wait()
        self._seeds, self._memory, self._drawn = list(seeds), {}, -1

    def take(self, step: int) -> Batches:
        """What each seed trains on in update ``step``; it stays until the update after is taken."""
        drawn, self._drawn = self._drawn, -1  # until it is known that nothing went wrong
        self._wait()
        if drawn != step:
            self._draw(step)
            self._wait()
        self._drawn = step
        if self._threads is not None and step + 1 < self._recipe.steps:
            self._draw(step + 1)
            self._drawn = step + 1
        return self._memory[step % 2]

    def _wait(self) -> None:
        """Let what is being drawn be drawn. Raises what a thread raised."""
        pending, self._pending = self._pending, []
        wait(pending)
        for future in pending:
            future.result()

    def _draw(self, step: int) -> None:
        """Begin to draw for an update, over what the update before the last was trained on."""
        for seed, tokens, ys in zip(self._seeds, *self._room(step), strict=True):
            if self._threads is None:
                self._fill(tokens, ys, seed, step)
            else:
                self._pending.append(self._threads.submit(self._fill, tokens, ys, seed, step))

    def _room(self, step: int) -> Batches:
        """Memory for the batches of an update, zero where a layout leaves its tokens so."""
        recipe, n_points = self._recipe, self._recipe.task.n_points
        if recipe.curriculum is not None:
            n_points = recipe.curriculum.n_points(recipe.task, step)
        ys_shape = (len(self._seeds), recipe.batch_size, n_points)
        if step % 2 not in self._memory or self._memory[step % 2][1].shape != ys_shape:
            tokens_shape = (*ys_shape[:2], self._model.layout.n_tokens(n_points), self._model.d_token)
            self._memory[step % 2] = (
                torch.zeros(tokens_shape, device=self._device),
                torch.zeros(ys_shape, device=self._device),
            )
        return self._memory[step % 2]

    def _fill(self, tokens: Tensor, ys: Tensor, seed: int, step: int) -> None:
        """One seed's batch, as `training_prompts` has it."""
        task = self._recipe.task
        if isinstance(task, LinearRegression) and task.is_plain and self._recipe.curriculum is None:
            xs = self._inputs((*ys.shape, task.dim))
            with drawing_on(self._device):
                task.fill(xs, ys, data_seed(seed, step))
        else:
            prompts = training_prompts(self._recipe, seed, step, self._device)
            xs = prompts.xs
            ys.copy_(prompts.ys)
        self._model.layout.write(tokens, xs, ys[:, :-1])

    def _inputs(self, shape: tuple[int, ...]) -> Tensor:
        """Memory of this thread's own, small enough to stay in its core's cache."""
        if not hasattr(self._scratch, "xs"):
            self._scratch.xs = torch.empty(shape, device=self._device)
        return self._scratch.xs
