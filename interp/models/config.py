"""The shape of a regression transformer."""

from dataclasses import dataclass, field
from typing import Literal

from interp.tasks import TokenLayout

Attention = Literal["linear", "softmax", "relu"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Everything that fixes the architecture and the law of its initial weights.

    Sizes given as 0 are derived, and hold the derived number after construction. Raises ValueError for sizes and
    options that contradict each other.
    """

    dim: int = 10
    """Coordinates of an input x."""
    layout: TokenLayout = field(default_factory=TokenLayout)
    n_layers: int = 1
    n_heads: int = 1
    d_model: int = 0
    """Width of the residual stream. With an identity read-in it is the token's width plus that of concatenated positions."""
    d_head: int = 0
    """Width of a head; ``d_model // n_heads`` if 0."""
    attention: Attention | tuple[Attention, ...] = "linear"
    """One kind for all layers, or one for each. Linear and ReLU attention are neither scaled nor normalised."""
    causal: bool = False
    query_in_context: bool = False
    """Whether queries serve as keys and values. Von Oswald et al. keep them out."""
    layer_norm: bool = False
    mlp: Literal["none", "linear", "relu", "gelu", "gelu_new"] = "none"
    d_mlp: int = 0
    """Hidden width of the MLP; ``4 * d_model`` if 0."""
    positions: Literal["none", "sinusoidal", "learned"] = "none"
    position_mode: Literal["add", "concatenate"] = "add"
    d_pos: int = 0
    """Width of concatenated positions; added ones are as wide as the stream."""
    n_ctx: int = 0
    """Number of learned positions."""
    looped: bool = False
    """Whether all layers share one set of weights."""
    read_in: Literal["identity", "linear"] = "identity"
    readout: Literal["negated_y", "linear"] = "negated_y"
    """``negated_y`` predicts minus the y entry of the query's residual stream; ``linear`` has weights of its own."""
    bias: bool = False
    """Whether linear maps (attention, read-in, readout) have biases; MLPs always do."""
    init: Literal["fan_in", "gpt2"] = "fan_in"
    """``fan_in``: truncated normal of variance ``init_variance / (n_layers * fan_in)``; ``gpt2``: normal, deviation 0.02."""
    init_variance: float = 1.0

    def __post_init__(self) -> None:
        for name in ("dim", "n_layers", "n_heads"):
            _require(getattr(self, name) >= 1, f"`{name}` must be at least 1, got {getattr(self, name)}.")
        concatenated = self.positions != "none" and self.position_mode == "concatenate"
        _require(
            concatenated == (self.d_pos > 0),
            f"`d_pos` is the width of concatenated positions and 0 without them, got {self.d_pos} with "
            f"positions={self.positions!r}, position_mode={self.position_mode!r}.",
        )
        _require(
            (self.positions == "learned") == (self.n_ctx > 0),
            f"`n_ctx` is the number of learned positions and 0 without them, got {self.n_ctx} with "
            f"positions={self.positions!r}.",
        )
        if self.read_in == "identity":
            width = self.d_token + self.d_pos
            _require(
                self.d_model in (0, width),
                f"An identity read-in makes the stream {width} wide, got d_model={self.d_model}; use read_in='linear'.",
            )
            object.__setattr__(self, "d_model", width)
        _require(self.d_model > self.d_pos, f"A linear read-in needs `d_model` above {self.d_pos}, got {self.d_model}.")
        _require(
            self.readout != "negated_y" or self.read_in == "identity",
            "readout='negated_y' reads the token's y entry, which only an identity read-in keeps in place; "
            "use readout='linear'.",
        )
        if self.d_head == 0:
            _require(
                self.d_model % self.n_heads == 0,
                f"d_model={self.d_model} does not divide into {self.n_heads} heads; give `d_head`.",
            )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.mlp == "none":
            _require(self.d_mlp == 0, f"`d_mlp` is 0 without an MLP, got {self.d_mlp}.")
        elif self.d_mlp == 0:
            object.__setattr__(self, "d_mlp", 4 * self.d_model)
        if isinstance(self.attention, tuple):
            _require(
                len(self.attention) == self.n_layers,
                f"`attention` names {len(self.attention)} layers, the model has {self.n_layers}.",
            )
            _require(
                not self.looped or len(set(self.attention)) == 1, "Looped layers are one layer: one kind of attention."
            )
        _require(self.init_variance > 0, f"`init_variance` must be positive, got {self.init_variance}.")

    @property
    def d_token(self) -> int:
        """Width of a token."""
        return self.layout.d_token(self.dim)

    @property
    def y_index(self) -> int:
        """Coordinate of a token, and of an identity-read stream, that holds y."""
        return self.layout.y_index(self.dim)

    @property
    def attention_kinds(self) -> tuple[Attention, ...]:
        """The kind of attention of each layer."""
        return self.attention if isinstance(self.attention, tuple) else (self.attention,) * self.n_layers

    @property
    def attn_only(self) -> bool:
        """Whether there are no MLPs (TransformerLens's word)."""
        return self.mlp == "none"

    @property
    def normalization_type(self) -> Literal["LN"] | None:
        """TransformerLens's name for the normalisation."""
        return "LN" if self.layer_norm else None


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
