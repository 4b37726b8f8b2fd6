"""Prompts that are drawn as they are needed, so that their number costs no memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from interp._seeds import derive_seed
from interp.tasks.prompts import Prompts, check_halves
from interp.tasks.task import Task, check_counts

BLOCK = 4096
"""Prompts that are drawn at once. Fixed, so that the prompts do not depend on the batches they are read in."""


@dataclass(frozen=True)
class Requery:
    """New queries for every context: whose law they have, how many, and the seed they are drawn from."""

    task: Task
    n_queries: int
    seed: int


@dataclass(frozen=True)
class PromptStream:
    """The prompts of a task by number: ``n_prompts`` of them, drawn block by block whenever they are read.

    The same arguments give the same prompts, however they are read. Those that fit into one block are the prompts of
    ``task.sample(n_prompts, seed)``; block i of more has the seed that ``(seed, "block", i)`` makes. Raises ValueError
    for fewer than one prompt.
    """

    task: Task
    n_prompts: int
    seed: int = 0
    requery: Requery | None = None
    """Queries in place of the one that each prompt is drawn with."""
    start: int = 0
    """Number of the first prompt, where the stream is a part of another one of ``n_prompts``."""
    stop: int | None = None
    """Number after that of the last prompt; None for the end."""

    def __post_init__(self) -> None:
        check_counts(self.n_prompts, 1)

    def __len__(self) -> int:
        return self._stop - self.start

    @property
    def dim(self) -> int:
        """Number of input coordinates."""
        return self.task.dim

    @property
    def n_queries(self) -> int:
        """How many of the last points ask about the same context."""
        return 1 if self.requery is None else self.requery.n_queries

    @property
    def n_examples(self) -> int:
        """Number of points before the queries."""
        return self.task.n_points - 1

    @property
    def n_points(self) -> int:
        """Number of points of each prompt, queries included."""
        return self.n_examples + self.n_queries

    def __getitem__(self, index: slice) -> Prompts:
        """Draw the prompts of a slice, without steps, as a batch in memory."""
        start, stop, step = index.indices(len(self))
        if step != 1 or start >= stop:
            raise ValueError(f"A stream is read in runs of one prompt or more, got {index} of {len(self)} prompts.")
        part = replace(self, start=self.start + start, stop=self.start + stop)
        return Prompts.join(list(part.batches(BLOCK)))

    def batches(self, size: int) -> Iterator[Prompts]:
        """All prompts in order, at most ``size`` of them at a time; no batch reaches across two blocks."""
        for block in range(self.start // BLOCK, -(-self._stop // BLOCK)):
            first = block * BLOCK
            drawn = self._draw(block)[max(self.start - first, 0) : self._stop - first]
            yield from drawn.batches(size)

    def halves(self) -> tuple[Self, Self]:
        """Split by prompt as `Prompts.halves` does. Raises ValueError for fewer than 4 prompts."""
        check_halves(len(self))
        middle = self.start + len(self) // 2
        return replace(self, stop=middle), replace(self, start=middle)

    def ask(self, task: Task, n_queries: int, seed: int = 0) -> Self:
        """The same contexts with ``n_queries`` new queries each, under a task's law; see `Task.requery`."""
        return replace(self, requery=Requery(task, n_queries, seed))

    @property
    def _stop(self) -> int:
        return self.n_prompts if self.stop is None else self.stop

    def _draw(self, block: int) -> Prompts:
        def own(seed: int) -> int:
            return derive_seed(seed, "block", block) if block else seed

        prompts = self.task.sample(min(BLOCK, self.n_prompts - block * BLOCK), seed=own(self.seed))
        if self.requery is None:
            return prompts
        return self.requery.task.requery(prompts, self.requery.n_queries, own(self.requery.seed))


PromptSource = Prompts | PromptStream
"""Prompts in memory, or drawn as they are needed: either has a length, halves and batches, and takes slices."""
