"""What several analyses of the same model need, kept while they last."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts


@dataclass(frozen=True)
class Remembered:
    """Hidden states [layer prompt column d_model] of a model on some prompts. Holding both keeps their identity."""

    model: HookedRegressor
    prompts: Prompts
    states: Tensor

    def of(self, model: HookedRegressor, prompts: Prompts) -> Tensor | None:
        """The states on these prompts, where they are all or a run of those remembered, as halves of them are."""
        ours, theirs = self.prompts.xs, prompts.xs
        alike = (
            model is self.model
            and prompts.n_queries == self.prompts.n_queries
            and theirs.shape[1:] == ours.shape[1:]
            and theirs.stride() == ours.stride()
            and theirs.untyped_storage().data_ptr() == ours.untyped_storage().data_ptr()
        )
        ahead = int(theirs.storage_offset()) - int(ours.storage_offset())
        first, rest = divmod(ahead, int(ours.stride()[0])) if alike else (-1, 0)
        if rest or first < 0 or first + len(theirs) > len(ours):
            return None
        return self.states[:, first : first + len(theirs)]


@dataclass
class Memory:
    """States and twins by what they belong to."""

    remembered: list[Remembered] = field(default_factory=list)
    twins: list[tuple[HookedRegressor, list[HookedRegressor]]] = field(default_factory=list)

    def states(self, model: HookedRegressor, prompts: Prompts) -> Tensor | None:
        """A model's states on these prompts, if they are remembered."""
        found = (entry.of(model, prompts) for entry in self.remembered)
        return next((states for states in found if states is not None), None)

    def twins_of(self, model: HookedRegressor) -> list[HookedRegressor] | None:
        """A model's untrained twins, if they are remembered."""
        return next((twins for owner, twins in self.twins if owner is model), None)


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
