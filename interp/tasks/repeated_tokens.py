"""Random tokens that come again: what only copying from the context can predict."""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from jaxtyping import Int
from torch import Tensor

from interp._seeds import make_generator


@dataclass(frozen=True)
class TokenSequences:
    """A batch of sequences of token ids that repeat themselves.

    Raises ValueError when the shapes do not fit, or a period lies outside 1 .. n_pos.
    """

    tokens: Int[Tensor, "prompt pos"]
    periods: Int[Tensor, " prompt"]
    """After how many positions a sequence comes again: ``tokens[p, i] == tokens[p, i - periods[p]]`` from position
    ``n_before + periods[p]`` on."""
    n_before: int = 0
    """Positions before the first random token: 1 where a BOS token stands there, else 0."""

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or self.periods.shape != self.tokens.shape[:1]:
            raise ValueError(
                "`tokens` needs two axes [prompt pos] and `periods` one number per prompt, got shapes "
                f"{tuple(self.tokens.shape)} and {tuple(self.periods.shape)}."
            )
        if len(self) and not 1 <= int(self.periods.min()) <= int(self.periods.max()) <= self.n_pos:
            raise ValueError(
                f"Periods must lie in 1..{self.n_pos}, the positions of a sequence; got "
                f"{int(self.periods.min())}..{int(self.periods.max())}."
            )

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Self:
        """The sequences that ``index`` selects, as a batch of their own."""
        return type(self)(self.tokens[index], self.periods[index], self.n_before)

    @property
    def n_pos(self) -> int:
        """Number of positions."""
        return self.tokens.shape[1]

    def to(self, device: torch.device | str) -> Self:
        """The same sequences on another device."""
        return type(self)(self.tokens.to(device), self.periods.to(device), self.n_before)


@dataclass(frozen=True, kw_only=True)
class RepeatedTokens:
    """Sequences of random tokens, the same ones again and again (Olsson et al. 2022).

    A sequence is ``bos``, if there is one, and then a period of tokens drawn uniformly from the other ids, all
    different where the vocabulary suffices, repeated until the sequence is ``n_pos`` long. Nothing but the tokens
    before it predicts a repeated token. Periods are uniform on ``shortest`` .. ``longest``: one length for all
    sequences lets positions alone find the repeat, several do not. Raises ValueError for counts below 1, a
    ``longest`` below ``shortest``, sequences too short to hold the longest period and one token more, vocabularies of
    fewer than 2 tokens beside ``bos``, and a ``bos`` that is no id.
    """

    d_vocab: int
    n_pos: int = 101
    shortest: int = 50
    longest: int = 50
    bos: int | None = 0
    kind: Literal["repeated_tokens"] = "repeated_tokens"

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"Periods need 1 <= shortest <= longest, got {self.shortest} and {self.longest}.")
        least = self.n_before + self.longest + 1
        if self.n_pos < least:
            raise ValueError(
                f"A period of {self.longest} tokens and one repeated token take {least} positions, got "
                f"n_pos={self.n_pos}; raise `n_pos` or lower `longest`."
            )
        if self.bos is not None and not 0 <= self.bos < self.d_vocab:
            raise ValueError(f"`bos` must be an id in 0..{self.d_vocab - 1} or none, got {self.bos}.")
        if self.d_vocab - self.n_before < 2:
            raise ValueError(
                f"Random sequences need at least 2 tokens beside `bos`, got a vocabulary of {self.d_vocab}."
            )

    @property
    def n_before(self) -> int:
        """Positions before the first random token."""
        return int(self.bos is not None)

    def sample(self, n_prompts: int, seed: int = 0) -> TokenSequences:
        """Draw sequences, on the CPU. The same arguments give the same sequences. Raises ValueError below 1."""
        if n_prompts < 1:
            raise ValueError(f"`n_prompts` must be at least 1, got {n_prompts}.")
        generator = make_generator(seed, "periods")
        periods = torch.randint(self.shortest, self.longest + 1, (n_prompts,), generator=generator)
        drawn = self._draw(n_prompts, make_generator(seed, "tokens"))
        position = torch.arange(self.n_pos - self.n_before)
        tokens = drawn.gather(1, position % periods[:, None])
        if self.bos is not None:
            tokens = torch.cat([torch.full((n_prompts, 1), self.bos), tokens], dim=1)
        return TokenSequences(tokens, periods, self.n_before)

    def _draw(self, n_prompts: int, generator: torch.Generator) -> Int[Tensor, "prompt longest"]:
        """Random ids, never ``bos``; each at most once in a sequence if there are enough of them."""
        n_ids = self.d_vocab - self.n_before
        if n_ids >= self.longest:
            ids = torch.stack([torch.randperm(n_ids, generator=generator)[: self.longest] for _ in range(n_prompts)])
        else:
            ids = torch.randint(n_ids, (n_prompts, self.longest), generator=generator)
        return ids if self.bos is None else ids + (ids >= self.bos)
