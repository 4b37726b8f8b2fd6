"""The shape of a small language model of ours."""

from dataclasses import dataclass
from typing import Literal

from interp.tasks import RepeatedTokens


@dataclass(frozen=True, kw_only=True)
class TokenModelConfig:
    """An attention-only transformer on tokens: pre-norm, with an unembedding of its own.

    It becomes a native model of TransformerLens (see `build_language_model`). Raises ValueError for sizes that
    contradict each other.
    """

    kind: Literal["tokens"] = "tokens"
    d_vocab: int = 128
    """Number of token ids."""
    n_ctx: int = 101
    """Positions of the longest sequence."""
    n_layers: int = 2
    n_heads: int = 8
    d_model: int = 64
    head_width: int = 0
    """Width of a head; ``d_model // n_heads`` if 0."""
    layer_norm: bool = True
    positions: Literal["learned", "rotary"] = "learned"
    """``learned``: a vector for each position, added to the token's; ``rotary``: queries and keys are turned by angles
    that grow with their positions, so that attention depends on offsets (Su et al. 2021), in heads of even width."""

    def __post_init__(self) -> None:
        for name in ("d_vocab", "n_ctx", "n_layers", "n_heads", "d_model"):
            _require(getattr(self, name) >= 1, f"`{name}` must be at least 1, got {getattr(self, name)}.")
        _require(self.head_width >= 0, f"`head_width` must be at least 0, got {self.head_width}.")
        _require(
            self.head_width > 0 or self.d_model % self.n_heads == 0,
            f"A stream of width {self.d_model} does not divide into {self.n_heads} heads; give `head_width`.",
        )
        _require(
            self.positions == "learned" or self.d_head % 2 == 0,
            f"Rotary positions turn pairs of coordinates; give heads an even width, not {self.d_head}.",
        )

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.d_model // self.n_heads

    def misfit(self, task: RepeatedTokens) -> str:
        """What keeps a model of this shape from reading the sequences of a task; empty if nothing does."""
        if task.d_vocab > self.d_vocab:
            return f"the model knows {self.d_vocab} token ids, the task draws from {task.d_vocab}; change one of them."
        if task.n_pos > self.n_ctx:
            return f"the model reads {self.n_ctx} tokens, the task draws sequences of {task.n_pos}; change one of them."
        return ""


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
