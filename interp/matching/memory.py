"""What several analyses of the same model need, kept while they last."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

Key = tuple[int, int, tuple[int, ...], int]
"""Which model, and which prompts: where their inputs lie in memory, their shape, and how many are queries."""


@dataclass
class Memory:
    """States and twins by what they belong to. It holds on to models and prompts, whose identity is the key."""

    states: dict[Key, Tensor] = field(default_factory=dict)
    twins: dict[int, list[HookedRegressor]] = field(default_factory=dict)
    _held: list[object] = field(default_factory=list)

    def key(self, model: HookedRegressor, prompts: Prompts) -> Key:
        """The key of a model's states on these prompts, which stays theirs as long as the memory lasts."""
        self._held += [model, prompts]
        return id(model), prompts.xs.data_ptr(), tuple(prompts.xs.shape), prompts.n_queries

    def keep_twins(self, model: HookedRegressor, twins: list[HookedRegressor]) -> list[HookedRegressor]:
        """Remember a model's untrained twins."""
        self._held.append(model)
        self.twins[id(model)] = twins
        return twins


_memory: ContextVar[Memory | None] = ContextVar("memory", default=None)


def current_memory() -> Memory | None:
    """The memory of the analyses that are going on, if they share one."""
    return _memory.get()


@contextmanager
def shared_memory() -> Iterator[None]:
    """Within the context, hidden states on the same prompts and untrained twins are computed once.

    Neither models nor prompts may be changed meanwhile.
    """
    token = _memory.set(Memory())
    try:
        yield
    finally:
        _memory.reset(token)
