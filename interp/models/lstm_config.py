"""The shape of a regression LSTM."""

from dataclasses import dataclass, field
from typing import Literal

from interp.tasks import TokenLayout


@dataclass(frozen=True, kw_only=True)
class LSTMConfig:
    """Everything that fixes the architecture of a stacked LSTM.

    Raises ValueError for sizes below 1 and for a paired layout, whose query stands beside no answer.
    """

    kind: Literal["lstm"] = "lstm"
    dim: int = 10
    """Coordinates of an input x."""
    layout: TokenLayout = field(default_factory=lambda: TokenLayout(kind="interleaved"))
    n_layers: int = 1
    width: int = 64
    """Width of the embedding and of every layer's hidden state and cell."""

    def __post_init__(self) -> None:
        for name in ("dim", "n_layers", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.layout.kind != "interleaved":
            raise ValueError(
                "An LSTM reads x and y in tokens of their own: use layout.kind='interleaved', not "
                f"{self.layout.kind!r}."
            )

    @property
    def n_heads(self) -> int:
        """0: an LSTM does not attend."""
        return 0

    @property
    def d_token(self) -> int:
        """Width of a token."""
        return self.layout.d_token(self.dim)

    @property
    def d_model(self) -> int:
        """Width of a hidden state."""
        return self.width
