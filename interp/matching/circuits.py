"""Gradient descent in the weights: the products W_Q W_K^T and W_V W_O against the construction."""

from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from interp.models.transformer import RegressionTransformer


@dataclass(frozen=True)
class EffectiveStep:
    """What a linear-attention layer does to (x, y), in the terms of Proposition 1 and GD++."""

    layer: int
    eta_over_n: float
    """Step size on the sum of squares: minus the y-to-y value circuit times the mean diagonal of the x-to-x scores."""
    gamma: float
    """How strongly inputs are straightened, ``x <- (I - gamma X^T X) x``."""
    off_structure: float
    """Share (in Frobenius norm) of the layer's y update off the multiples of the identity: 0 in the construction."""


def effective_steps(model: RegressionTransformer) -> list[EffectiveStep]:
    """Read step size and gamma off the weights of every layer, summed over heads.

    Raises ValueError for models other than linear attention on (x, y) tokens with an identity read-in.
    """
    qk, ov = _products(model)  # [layer head d_model d_model]
    x, y = _x_slice(model), model.cfg.y_index
    scores, value = qk[..., x, x], ov[..., y, y]
    descent = -torch.einsum("lhij,lh->lij", scores, value)
    eta = descent.diagonal(dim1=-2, dim2=-1).mean(-1)
    rest = descent - eta[:, None, None] * torch.eye(model.cfg.dim)
    mean_score = scores.diagonal(dim1=-2, dim2=-1).mean(-1)
    mean_value = ov[..., x, x].diagonal(dim1=-2, dim2=-1).mean(-1)
    gamma = -(mean_score * mean_value).sum(1)
    share = rest.norm(dim=(1, 2)) / descent.norm(dim=(1, 2)).clamp(min=1e-30)
    return [
        EffectiveStep(layer=layer + 1, eta_over_n=e, gamma=g, off_structure=s)
        for layer, (e, g, s) in enumerate(zip(eta.tolist(), gamma.tolist(), share.tolist(), strict=True))
    ]


def interpolate_with_gd(model: RegressionTransformer, eta_over_n: float, share: float = 0.5) -> RegressionTransformer:
    """The model whose products lie ``share`` of the way from this model's to the GD construction's.

    As in von Oswald et al.'s code, W_Q W_K^T is first divided by the mean of its x diagonal and W_V W_O multiplied by
    it, which moves the trained weights along their own scale freedom to where the construction stands; a mean near 0
    makes the result explode. The mixed products become W_Q and W_V of heads as wide as the stream, with W_K = W_O = I.
    Raises ValueError for more than one head, and as `effective_steps`.
    """
    if model.cfg.n_heads != 1:
        raise ValueError(f"Interpolation is defined for one head, the model has {model.cfg.n_heads}.")
    qk, ov = (product[:, 0] for product in _products(model))
    x, y = _x_slice(model), model.cfg.y_index
    scale = qk[:, x, x].diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    gd_qk, gd_ov = torch.zeros_like(qk), torch.zeros_like(ov)
    gd_qk[:, x, x] = torch.eye(model.cfg.dim)
    gd_ov[:, y, y] = -eta_over_n
    parameter = next(model.parameters())
    mixed = RegressionTransformer(replace(model.cfg, head_width=model.cfg.d_model), model.task)
    mixed.to(parameter.device, parameter.dtype)
    with torch.no_grad():
        for layer, block in enumerate(mixed.blocks):
            block.attn.W_Q.copy_(torch.lerp(qk / scale, gd_qk, share)[layer, None])
            block.attn.W_V.copy_(torch.lerp(ov * scale, gd_ov, share)[layer, None])
            for weight in (block.attn.W_K, block.attn.W_O):
                weight.copy_(torch.eye(model.cfg.d_model)[None])
    return mixed


def is_linear_on_pairs(model: object) -> TypeGuard[RegressionTransformer]:
    """Whether a model is linear attention alone on (x, y) tokens, so that Proposition 1 speaks of its weights."""
    if not isinstance(model, RegressionTransformer):
        return False
    cfg = model.cfg
    return (
        cfg.layout.kind == "paired"
        and set(cfg.attention_kinds) == {"linear"}
        and cfg.attn_only
        and not cfg.layer_norm
        and cfg.positions == "none"
        and cfg.read_in == "identity"
    )


def _products(model: RegressionTransformer) -> tuple[Float[Tensor, "layer head i j"], Float[Tensor, "layer head i j"]]:
    if not is_linear_on_pairs(model):
        raise ValueError(
            "The weights can be held against Proposition 1 only for linear attention on paired tokens, without MLP, "
            f"norm or positions and with an identity read-in; this model has {model.cfg}."
        )
    return model.QK.AB.detach().cpu(), model.OV.AB.detach().cpu()


def _x_slice(model: RegressionTransformer) -> slice:
    return slice(1, None) if model.cfg.y_index == 0 else slice(0, model.cfg.dim)
