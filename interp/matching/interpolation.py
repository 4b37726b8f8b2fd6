"""Between trained weights and the construction: the products W_Q W_K^T and W_V W_O, mixed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.circuits import products
from interp.matching.readouts import prompt_losses
from interp.models.transformer import RegressionTransformer
from interp.tasks import Prompts
from probes import bootstrap_mean

SHARES = tuple(np.linspace(0, 1, 11).round(2).tolist())
"""How far along the path `loss_along_path` looks."""


def interpolate_with_gd(
    model: RegressionTransformer,
    eta_over_n: float | Sequence[float],
    share: float = 0.5,
    *,
    gamma: float | Sequence[float] = 0.0,
) -> RegressionTransformer:
    """The model whose products lie ``share`` of the way from this model's to those of GD (or GD++, by gamma).

    One step size, and one gamma, for all layers or one for each; looped layers take one. As in von Oswald et al.'s
    code, W_Q W_K^T is first divided by the mean of its x diagonal and W_V W_O multiplied by it, which moves the
    trained weights along their own scale freedom to where the construction stands; a mean near 0 makes the result
    explode. The mixed products become W_Q and W_V of heads as wide as the stream, with W_K = W_O = I. Raises
    ValueError for more than one head, steps that do not fit the layers, and as `effective_steps`.
    """
    if model.cfg.n_heads != 1:
        raise ValueError(f"Interpolation is defined for one head, the model has {model.cfg.n_heads}.")
    gd_qk, gd_ov = constructed_products(model, eta_over_n, gamma)
    qk, ov = scaled_products(model)
    parameter = next(model.parameters())
    mixed = RegressionTransformer(replace(model.cfg, head_width=model.cfg.d_model), model.task)
    mixed.to(parameter.device, parameter.dtype)
    with torch.no_grad():
        for layer, block in enumerate(mixed.blocks):
            block.attn.W_Q.copy_(torch.lerp(qk, gd_qk, share)[layer, None])
            block.attn.W_V.copy_(torch.lerp(ov, gd_ov, share)[layer, None])
            for weight in (block.attn.W_K, block.attn.W_O):
                weight.copy_(torch.eye(model.cfg.d_model)[None])
    return mixed


def loss_along_path(
    model: RegressionTransformer,
    prompts: Prompts,
    eta_over_n: float | Sequence[float],
    *,
    gamma: float | Sequence[float] = 0.0,
    shares: Sequence[float] = SHARES,
) -> pd.DataFrame:
    """Half the mean squared error on the straight path from the trained weights (share 0) to the constructed (1).

    Columns: share, loss, ci_low, ci_high (over prompts). Raises ValueError as `interpolate_with_gd`.
    """
    rows = []
    for share in shares:
        loss = bootstrap_mean(prompt_losses(interpolate_with_gd(model, eta_over_n, share, gamma=gamma), prompts))
        rows.append({"share": share, "loss": loss.estimate, "ci_low": loss.low, "ci_high": loss.high})
    return pd.DataFrame(rows)


def scaled_products(
    model: RegressionTransformer,
) -> tuple[Float[Tensor, "layer d_model d_model"], Float[Tensor, "layer d_model d_model"]]:
    """W_Q W_K^T and W_V W_O of one-headed layers, the first scaled to a mean x diagonal of 1 and the second back."""
    qk, ov = (product[:, 0] for product in products(model))
    x = model.cfg.x_slice
    scale = qk[:, x, x].diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    return qk / scale, ov * scale


def constructed_products(
    model: RegressionTransformer, eta_over_n: float | Sequence[float], gamma: float | Sequence[float] = 0.0
) -> tuple[Float[Tensor, "layer d_model d_model"], Float[Tensor, "layer d_model d_model"]]:
    """W_Q W_K^T and W_V W_O of GD++ (GD where gamma is 0) in the model's shape. Raises as `interpolate_with_gd`."""
    cfg = model.cfg
    x, y = cfg.x_slice, cfg.y_index
    qk = torch.zeros(cfg.n_layers, cfg.d_model, cfg.d_model, dtype=next(model.parameters()).dtype)
    ov = torch.zeros_like(qk)
    eye = torch.eye(cfg.dim, dtype=qk.dtype)
    qk[:, x, x] = eye
    ov[:, x, x] = -_per_layer(gamma, model, "gamma").to(qk)[:, None, None] * eye
    ov[:, y, y] = -_per_layer(eta_over_n, model, "eta_over_n").to(qk)
    return qk, ov


def _per_layer(values: float | Sequence[float], model: RegressionTransformer, name: str) -> Float[Tensor, " layer"]:
    n_layers = model.cfg.n_layers
    if isinstance(values, float | int):
        return torch.full((n_layers,), float(values), dtype=torch.float64)
    if len(values) != n_layers:
        raise ValueError(f"`{name}` needs one value for all or one for each of {n_layers} layers, got {len(values)}.")
    if model.cfg.looped and len(set(values)) > 1:
        raise ValueError(f"Looped layers are one layer: `{name}` needs one value, got {list(values)}.")
    return torch.tensor(values, dtype=torch.float64)
