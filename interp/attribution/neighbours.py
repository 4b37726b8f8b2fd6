"""Who is whose neighbour where x and y stand in tokens of their own."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

Kind = Literal["x", "y"]
Case = tuple[str, int, int]
"""A way of copying, by name, and the head that may go it: its block and its number, both from 0."""
LEAST_EXAMPLES = 3
"""Fewest examples of a prompt in which every way has a right neighbour and a wrong one."""


@dataclass(frozen=True)
class Way:
    """One way of copying: tokens of one kind read what the token beside them holds.

    Positions are those of the examples alone, x at 2t and y at 2t + 1; the query neither reads nor is read.
    """

    name: str
    reader: Kind
    """Kind of the token that reads; the other kind is read."""
    offset: int
    """Position of the reader minus that of the token it reads: 1 is the token before, -1 the token after."""

    @property
    def source(self) -> Kind:
        """Kind of the token that is read."""
        return "y" if self.reader == "x" else "x"

    def readers(self, n_examples: int) -> list[int]:
        """Positions of the tokens that read."""
        first, n_tokens = (0 if self.reader == "x" else 1), 2 * n_examples
        return [position for position in range(first, n_tokens, 2) if 0 <= position - self.offset < n_tokens]

    def contents(self, prompts: Prompts) -> Float[Tensor, "prompt reader target"]:
        """What each reader's neighbour holds, in float64: its y, or the coordinates of its x."""
        points = [(position - self.offset) // 2 for position in self.readers(prompts.n_examples)]
        values = prompts.ys[:, points, None] if self.source == "y" else prompts.xs[:, points]
        return values.double()


WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        Way("x reads its y", "x", -1),
        Way("y reads its x", "y", 1),
        Way("y reads the next x", "y", -1),
        Way("x reads the y before", "x", 1),
    )
}
"""The four ways of copying, by name."""


def has_neighbours(model: HookedRegressor, prompts: Prompts) -> bool:
    """Whether x and y have tokens of their own: two for each point, the last y shown or not."""
    n_points = prompts.n_points
    n_tokens = model.tokens(prompts[:1]).shape[1]
    return n_points > 1 and n_tokens in (2 * n_points - 1, 2 * n_points)


def require_neighbours(model: HookedRegressor, prompts: Prompts) -> None:
    """Raise ValueError for models that read x and y in one token, and for prompts of too few examples."""
    if not has_neighbours(model, prompts):
        raise ValueError(
            "The model reads x and y in one token (a paired layout), so that there is nothing to copy between "
            "neighbours; give one with an interleaved layout."
        )
    if prompts.n_examples < LEAST_EXAMPLES:
        raise ValueError(
            f"Copying is told from chance by prompts of at least {LEAST_EXAMPLES} examples, got {prompts.n_examples}; "
            "give longer prompts."
        )


def wrong_neighbours(contents: Float[Tensor, "prompt reader target"]) -> Float[Tensor, "prompt reader target"]:
    """The same contents dealt to other readers of the same prompt, half of them further on."""
    n_readers = contents.shape[1]
    return contents[:, torch.arange(n_readers).roll(n_readers // 2)]
