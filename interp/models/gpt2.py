"""The GPT-2 on x, y, x, y, ... of Garg et al. (2022) and Fu et al. (2023)."""

from interp.models.config import TransformerConfig
from interp.tasks import TokenLayout

GARG_LAYOUT = TokenLayout(kind="interleaved", y_position="first", y_slot="shared")
"""x and y in tokens of their own, y in the first of x's coordinates."""


def gpt2_config(*, dim: int, n_points: int, n_layers: int, n_heads: int, width: int) -> TransformerConfig:
    """Its shape: learned positions for two tokens a point, layer norms, biases, a prediction at every x.

    Raises ValueError for sizes below 1, and a width that does not divide into the heads.
    """
    return TransformerConfig(
        dim=dim,
        layout=GARG_LAYOUT,
        n_layers=n_layers,
        n_heads=n_heads,
        width=width,
        attention="softmax",
        causal=True,
        query_in_context=True,
        layer_norm=True,
        mlp="gelu_new",
        positions="learned",
        n_ctx=2 * n_points,
        read_in="linear",
        readout="linear",
        bias=True,
        init="gpt2",
    )
