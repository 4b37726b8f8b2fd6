"""How points become tokens."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from interp.tasks.prompts import Prompts


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Where the numbers of a point stand in a transformer's input.

    ``paired`` puts (x, y) into one token; the query enters as (x, 0). ``interleaved`` alternates x, y, x, y and
    ends with the query's x. Raises ValueError for a paired layout with a shared slot.
    """

    kind: Literal["paired", "interleaved"] = "paired"
    y_position: Literal["first", "last"] = "last"
    """Coordinate of the token that holds y: von Oswald et al. use the last, Garg et al. the first."""
    y_slot: Literal["own", "shared"] = "own"
    """``own``: y has a coordinate to itself. ``shared``: interleaved y tokens reuse one of x's (both papers' code)."""

    def __post_init__(self) -> None:
        if self.kind == "paired" and self.y_slot == "shared":
            raise ValueError("A paired token holds x and y at once, so y needs its own slot: use y_slot='own'.")

    def d_token(self, dim: int) -> int:
        """Width of a token for inputs of ``dim`` coordinates."""
        return dim + (self.y_slot == "own")

    def y_index(self, dim: int) -> int:
        """Coordinate of the token that holds y."""
        return 0 if self.y_position == "first" else self.d_token(dim) - 1

    def n_tokens(self, n_points: int) -> int:
        """Number of positions that ``n_points`` points take."""
        return n_points if self.kind == "paired" else 2 * n_points - 1

    def x_positions(self, n_points: int) -> list[int]:
        """Position of each point's x."""
        return list(range(n_points)) if self.kind == "paired" else list(range(0, 2 * n_points, 2))

    def tokens(self, prompts: Prompts) -> Float[Tensor, "prompt pos d_token"]:
        """Lay the prompts out. No query's y is ever shown.

        Raises ValueError for several queries in an interleaved layout, where a later query would see the ones before.
        """
        if self.kind == "interleaved" and prompts.n_queries > 1:
            raise ValueError(
                f"An interleaved prompt has one query at its end, got {prompts.n_queries}. "
                "Use prompts.one_query_each() to ask the others separately."
            )
        n_prompts, n_points, dim = prompts.xs.shape
        tokens = prompts.xs.new_zeros(n_prompts, self.n_tokens(n_points), self.d_token(dim))
        self.write(tokens, prompts.xs, prompts.ys[:, : prompts.n_examples])
        return tokens

    def write(
        self,
        tokens: Float[Tensor, "prompt pos d_token"],
        xs: Float[Tensor, "prompt point dim"],
        shown: Float[Tensor, "prompt example"],
    ) -> None:
        """Put points into tokens that are zero, or hold as many others: every x, and the y of the first points."""
        dim, n_examples = xs.shape[2], shown.shape[1]
        stride = 1 if self.kind == "paired" else 2
        before_x = int(self.y_position == "first" and self.y_slot == "own")
        tokens[:, ::stride, before_x : before_x + dim] = xs
        tokens[:, stride - 1 :: stride, self.y_index(dim)][:, :n_examples] = shown
