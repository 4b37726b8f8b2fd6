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
        if model is not self.model or prompts.n_queries != self.prompts.n_queries:
            return None
        first = _place_in(self.prompts.xs, prompts.xs)
        # Prompts may share their inputs and differ in what they say of them.
        if first is None or _place_in(self.prompts.ys, prompts.ys) != first:
            return None
        return self.states[:, first : first + len(prompts)]


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


def _place_in(whole: Tensor, part: Tensor) -> int | None:
    """The first row of a tensor that another one, if it is a run of its rows in the same memory, begins with."""
    alike = (
        part.shape[1:] == whole.shape[1:]
        and whole.stride()[0] > 0
        and part.stride() == whole.stride()
        and part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
    )
    if not alike:
        return None
    first, rest = divmod(int(part.storage_offset()) - int(whole.storage_offset()), int(whole.stride()[0]))
    return None if rest or first < 0 or first + len(part) > len(whole) else first


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
