"""What every task offers."""

from typing import Protocol, runtime_checkable

from interp.tasks.prompts import Prompts


@runtime_checkable
class Task(Protocol):
    """A distribution over prompts. Implementations are frozen dataclasses, so that a run folder can hold them."""

    @property
    def dim(self) -> int:
        """Number of input coordinates."""
        ...

    @property
    def n_points(self) -> int:
        """Points of a prompt, the query included."""
        ...

    def sample(self, n_prompts: int, seed: int = 0, n_queries: int = 1) -> Prompts:
        """Draw prompts with ``n_points - 1`` examples and ``n_queries`` queries; the same seed, the same prompts."""
        ...

    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """Keep the contexts and their hidden functions, and draw new queries under the law of each prompt."""
        ...


def check_counts(n_prompts: int, n_queries: int) -> None:
    """Refuse to sample nothing. Raises ValueError unless both counts are at least 1."""
    if n_prompts < 1 or n_queries < 1:
        raise ValueError(f"Ask for at least one prompt and one query, got {n_prompts} and {n_queries}.")
