"""Small models in double precision, where equal means equal to a dozen digits."""

from typing import Any

import torch

from interp.models import RegressionTransformer, TransformerConfig
from interp.tasks import LinearRegression, TokenLayout

INTERLEAVED = TokenLayout(kind="interleaved", y_position="first")


def tiny_model(*, n_points: int = 6, seed: int = 1, random_biases: bool = True, **options) -> RegressionTransformer:
    """Two layers of two heads on inputs of dim 4, unless said otherwise. Biases and norms are random too."""
    cfg = TransformerConfig(**{"dim": 4, "n_layers": 2, "n_heads": 2, "head_width": 3, **options})
    model = RegressionTransformer(cfg, LinearRegression(dim=cfg.dim, n_points=n_points), seed=seed).double()
    if random_biases:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            if name.rsplit(".", 1)[-1].startswith(("b", "w")):
                parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


FULL: dict[str, Any] = {
    "attention": "softmax",
    "bias": True,
    "layer_norm": True,
    "mlp": "gelu",
    "read_in": "linear",
    "readout": "linear",
    "width": 12,
    "positions": "learned",
    "n_ctx": 30,
}
"""Everything that a transformer can have."""
