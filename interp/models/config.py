"""The shape of a regression transformer."""

from dataclasses import dataclass, field
from typing import Literal

from interp.tasks import TokenLayout

Attention = Literal["linear", "softmax", "relu"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Everything that fixes the architecture and the law of its initial weights.

    Widths left at 0 are derived; the numbers in force are the properties d_model, d_head and d_mlp. Raises
    ValueError for sizes and options that contradict each other.
    """

    kind: Literal["transformer"] = "transformer"
    dim: int = 10
    """Coordinates of an input x."""
    layout: TokenLayout = field(default_factory=TokenLayout)
    n_layers: int = 1
    n_heads: int = 1
    width: int = 0
    """Width of the residual stream behind a linear or MLP read-in. An identity read-in makes it the token's width plus
    that of concatenated positions."""
    head_width: int = 0
    """Width of a head; ``d_model // n_heads`` if 0."""
    attention: Attention | tuple[Attention, ...] = "linear"
    """One kind for all layers, or one for each. Linear and ReLU attention are neither scaled nor normalised."""
    causal: bool = False
    query_in_context: bool = False
    """Whether queries serve as keys and values. Von Oswald et al. keep them out."""
    layer_norm: bool = False
    """Whether attention and MLP read a normalised stream."""
    final_norm: bool = True
    """Whether, with ``layer_norm``, the readout does too, as in GPT-2. Von Oswald et al.'s code has no such norm."""
    mlp: Literal["none", "linear", "relu", "gelu", "gelu_new"] = "none"
    mlp_width: int = 0
    """Hidden width of the MLP; ``4 * d_model`` if 0."""
    positions: Literal["none", "sinusoidal", "learned"] = "none"
    position_mode: Literal["add", "concatenate"] = "add"
    d_pos: int = 0
    """Width of concatenated positions; added ones are as wide as the stream."""
    n_ctx: int = 0
    """Number of learned positions."""
    looped: bool = False
    """Whether all layers share one set of weights."""
    damping: float = 1.0
    """Factor on all that a block adds to the stream. Below 1, a looped layer can be applied more often than it was
    trained to be."""
    clamp: float | None = None
    """Bound on the absolute value of every entry of the stream, enforced after attention and after the MLP."""
    read_in: Literal["identity", "linear", "mlp"] = "identity"
    """How a token enters the stream: as it is, through a matrix, or with x replaced by ``width - 1`` learned features
    and y beside them (see `FeatureReadIn`)."""
    read_in_width: int = 0
    """Hidden width of the MLP that reads in; ``width`` if 0."""
    readout: Literal["negated_y", "linear"] = "negated_y"
    """``negated_y`` predicts minus the y entry of the query's residual stream; ``linear`` has weights of its own."""
    bias: bool = False
    """Whether linear maps (attention, read-in, readout) have biases; MLPs always do."""
    init: Literal["fan_in", "gpt2"] = "fan_in"
    """``fan_in``: normal of variance ``init_variance / (n_layers * fan_in)``, cut at two deviations (which leaves 0.77
    of it); ``gpt2``: normal, deviation 0.02."""
    init_variance: float = 1.0
    descent_lr: float | None = None
    """If given, attention starts out as Proposition 1's construction (von Oswald et al. 2022) in every layer, with this
    eta/n, whatever ``init`` says."""

    def __post_init__(self) -> None:
        for name in ("dim", "n_layers", "n_heads"):
            _require(getattr(self, name) >= 1, f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("width", "head_width", "mlp_width", "d_pos", "n_ctx", "read_in_width"):
            _require(getattr(self, name) >= 0, f"`{name}` must be at least 0, got {getattr(self, name)}.")
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
            natural = self.d_token + self.d_pos
            _require(
                self.width in (0, natural),
                f"An identity read-in makes the stream {natural} wide, got width={self.width}; use read_in='linear'.",
            )
        if self.read_in == "mlp":
            _require(
                self.layout.kind == "paired" and self.positions == "none",
                "read_in='mlp' replaces the x of (x, y) tokens by features; use a paired layout and positions='none'.",
            )
            _require(self.width >= 2, f"read_in='mlp' needs `width` of at least 2 (features and y), got {self.width}.")
        _require(self.d_model > self.d_pos, f"A linear read-in needs `width` above {self.d_pos}, got {self.width}.")
        _require(
            self.readout != "negated_y" or self.read_in != "linear",
            "readout='negated_y' reads the token's y entry, which a linear read-in does not keep in place; "
            "use readout='linear'.",
        )
        _require(
            self.head_width > 0 or self.d_model % self.n_heads == 0,
            f"A stream of width {self.d_model} does not divide into {self.n_heads} heads; give `head_width`.",
        )
        _require(self.mlp != "none" or self.mlp_width == 0, f"`mlp_width` is 0 without an MLP, got {self.mlp_width}.")
        _require(
            self.read_in == "mlp" or self.read_in_width == 0,
            f"`read_in_width` is 0 without read_in='mlp', got {self.read_in_width}.",
        )
        if isinstance(self.attention, tuple):
            _require(
                len(self.attention) == self.n_layers,
                f"`attention` names {len(self.attention)} layers, the model has {self.n_layers}.",
            )
            _require(
                not self.looped or len(set(self.attention)) == 1, "Looped layers are one layer: one kind of attention."
            )
        _require(
            self.descent_lr is None
            or (
                self.layout.kind == "paired"
                and self.read_in != "linear"
                and set(self.attention_kinds) == {"linear"}
                and self.n_heads == 1
                and not self.d_pos
                and self.d_head == self.d_model
            ),
            "`descent_lr` writes Proposition 1 into the weights, which takes linear attention on (x, y) tokens, no "
            "linear read-in and no concatenated positions, and one head as wide as the stream.",
        )
        _require(0 < self.damping <= 1, f"`damping` must lie in (0, 1], got {self.damping}.")
        _require(self.clamp is None or self.clamp > 0, f"`clamp` must be positive or none, got {self.clamp}.")
        _require(self.init_variance > 0, f"`init_variance` must be positive, got {self.init_variance}.")

    @property
    def d_token(self) -> int:
        """Width of a token."""
        return self.layout.d_token(self.dim)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.d_token + self.d_pos if self.read_in == "identity" else self.width

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.head_width or self.d_model // self.n_heads

    @property
    def d_mlp(self) -> int:
        """Hidden width of the MLP, 0 without one."""
        return 0 if self.mlp == "none" else self.mlp_width or 4 * self.d_model

    @property
    def y_index(self) -> int:
        """Coordinate of the stream that holds y, behind an identity or MLP read-in."""
        if self.read_in == "mlp":
            return 0 if self.layout.y_position == "first" else self.width - 1
        return self.layout.y_index(self.dim)

    @property
    def x_slice(self) -> slice:
        """Coordinates of the stream that hold x or its features, where y has its own beside them."""
        n_x = (self.width if self.read_in == "mlp" else self.d_token) - 1
        return slice(1, 1 + n_x) if self.y_index == 0 else slice(0, n_x)

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
