"""A batch of in-context problems."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """A batch of in-context problems: their points, and what generated them where that is known.

    The last ``n_queries`` points are queries: a prediction at one of them may use the examples before all of
    them, but no other query. Raises ValueError when the shapes do not fit or a value is not finite.
    """

    xs: Float[Tensor, "prompt point dim"]
    """Inputs."""
    ys: Float[Tensor, "prompt point"]
    """Targets, noise and distractors included."""
    w: Float[Tensor, "prompt dim"] | None = None
    """The hidden weights, for tasks that have them: ``ys = xs @ w + noise``, but for distractors."""
    n_queries: int = 1
    """How many of the last points ask about the same context."""
    input_map: Float[Tensor, "prompt dim dim"] | None = None
    """The linear map that made these inputs out of isotropic ones, where it is not the identity: the product of the
    covariance's, the projection onto a subspace and the division by the norm of a context, of those there are."""
    function: Float[Tensor, "prompt parameter"] | None = None
    """What fixes each prompt's function where that is not linear in x: for sine waves amplitude and phase, for networks
    their weights, for trees the coordinates and leaves."""

    def __post_init__(self) -> None:
        if self.xs.ndim != 3:
            raise ValueError(
                f"`xs` needs three axes [prompt point dim], got shape {tuple(self.xs.shape)}. "
                "Add the missing axis, e.g. xs[None] for a single prompt."
            )
        if self.ys.shape != self.xs.shape[:-1]:
            raise ValueError(
                f"`ys` needs one target per point: expected shape {tuple(self.xs.shape[:-1])} to match `xs` of "
                f"shape {tuple(self.xs.shape)}, got {tuple(self.ys.shape)}."
            )
        if self.w is not None and self.w.shape != (self.xs.shape[0], self.xs.shape[2]):
            raise ValueError(
                f"`w` needs one weight vector per prompt: expected shape {(self.xs.shape[0], self.xs.shape[2])}, "
                f"got {tuple(self.w.shape)}."
            )
        expected_map = (self.xs.shape[0], self.xs.shape[2], self.xs.shape[2])
        if self.input_map is not None and self.input_map.shape != expected_map:
            raise ValueError(
                f"`input_map` needs one square matrix per prompt: expected shape {expected_map}, "
                f"got {tuple(self.input_map.shape)}."
            )
        if self.function is not None and (self.function.ndim != 2 or len(self.function) != len(self.xs)):
            raise ValueError(
                f"`function` needs one row of parameters per prompt: expected shape ({len(self.xs)}, parameters), "
                f"got {tuple(self.function.shape)}."
            )
        if not 1 <= self.n_queries <= self.n_points:
            raise ValueError(
                f"`n_queries` must lie between 1 and the number of points ({self.n_points}), got {self.n_queries}."
            )
        for name in ("xs", "ys", "w", "input_map", "function"):
            values = getattr(self, name)
            # A sum is finite if all its terms are, and much faster to take; only where it is not need one look closer.
            if values is not None and not values.sum().isfinite() and not torch.isfinite(values).all():
                raise ValueError(
                    f"`{name}` holds NaN or infinite values; prompts must be finite. "
                    "Drop or mend the prompts that torch.isfinite rejects."
                )

    def __len__(self) -> int:
        return self.xs.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Self:
        """The prompts that ``index`` selects, as a batch of their own."""
        return replace(
            self,
            xs=self.xs[index],
            ys=self.ys[index],
            w=None if self.w is None else self.w[index],
            input_map=None if self.input_map is None else self.input_map[index],
            function=None if self.function is None else self.function[index],
        )

    @classmethod
    def join(cls, parts: "Sequence[Prompts]") -> "Prompts":
        """Batches of prompts of one kind, one after the other, as one batch."""
        if len(parts) == 1:
            return parts[0]

        def joined(name: str) -> Tensor | None:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else torch.cat(values)

        return cls(
            xs=torch.cat([part.xs for part in parts]),
            ys=torch.cat([part.ys for part in parts]),
            w=joined("w"),
            n_queries=parts[0].n_queries,
            input_map=joined("input_map"),
            function=joined("function"),
        )

    def batches(self, size: int) -> Iterator[Self]:
        """All prompts in order, at most ``size`` of them at a time. Raises ValueError for a size below 1."""
        if size < 1:
            raise ValueError(f"A batch holds at least one prompt, got a batch size of {size}; give 1 or more.")
        return (self[start : start + size] for start in range(0, len(self), size))

    @property
    def n_points(self) -> int:
        """Number of points of each prompt, queries included."""
        return self.xs.shape[1]

    @property
    def n_examples(self) -> int:
        """Number of points before the queries."""
        return self.n_points - self.n_queries

    @property
    def dim(self) -> int:
        """Number of input coordinates."""
        return self.xs.shape[2]

    def halves(self) -> tuple[Self, Self]:
        """Split by prompt into two halves, one to select on and one to estimate on.

        Raises ValueError for fewer than 4 prompts: an interval over prompts needs at least 2 in each half.
        """
        check_halves(len(self))
        middle = len(self) // 2
        return self[:middle], self[middle:]

    def with_queries(self, xs: Float[Tensor, "prompt query dim"], ys: Float[Tensor, "prompt query"]) -> Self:
        """The same contexts with these queries and their targets in place of the old ones."""
        n = self.n_examples
        return replace(
            self,
            xs=torch.cat([self.xs[:, :n], xs], dim=1),
            ys=torch.cat([self.ys[:, :n], ys], dim=1),
            n_queries=xs.shape[1],
        )

    def one_query_each(self) -> Self:
        """The same questions with one query per prompt: each context is repeated once per query.

        Prompt ``p`` and query ``q`` become prompt ``p * n_queries + q``.
        """
        if self.n_queries == 1:
            return self
        n, q = self.n_examples, self.n_queries
        context_xs = self.xs[:, :n].repeat_interleave(q, dim=0)
        context_ys = self.ys[:, :n].repeat_interleave(q, dim=0)
        return replace(
            self,
            xs=torch.cat([context_xs, self.xs[:, n:].reshape(-1, 1, self.dim)], dim=1),
            ys=torch.cat([context_ys, self.ys[:, n:].reshape(-1, 1)], dim=1),
            w=None if self.w is None else self.w.repeat_interleave(q, dim=0),
            n_queries=1,
            input_map=None if self.input_map is None else self.input_map.repeat_interleave(q, dim=0),
            function=None if self.function is None else self.function.repeat_interleave(q, dim=0),
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same prompts on another device or in another floating-point type; themselves where nothing changes."""
        if device in (None, self.xs.device) and dtype in (None, self.xs.dtype):
            return self

        def move(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.to(device=device, dtype=dtype)

        return replace(
            self,
            xs=self.xs.to(device=device, dtype=dtype),
            ys=self.ys.to(device=device, dtype=dtype),
            w=move(self.w),
            input_map=move(self.input_map),
            function=move(self.function),
        )


def check_halves(n_prompts: int) -> None:
    """Refuse to split fewer than 4 prompts into halves. Raises ValueError."""
    if n_prompts < 4:
        raise ValueError(
            f"A split into a selection and an estimation half needs at least 4 prompts, got {n_prompts}. "
            "Sample more prompts."
        )
