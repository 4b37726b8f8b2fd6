"""Gradient descent in the weights: what the products W_Q W_K^T and W_V W_O do, in the terms of the construction."""

from dataclasses import dataclass
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
    qk, ov = products(model)  # [layer head d_model d_model]
    x, y = model.cfg.x_slice, model.cfg.y_index
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


def products(model: RegressionTransformer) -> tuple[Float[Tensor, "layer head i j"], Float[Tensor, "layer head i j"]]:
    """W_Q W_K^T and W_V W_O of every head. Raises ValueError where they mean nothing to Proposition 1."""
    if not is_linear_on_pairs(model):
        raise ValueError(
            "The weights can be held against Proposition 1 only for linear attention on paired tokens, without MLP, "
            f"norm or positions and with an identity read-in; this model has {model.cfg}."
        )
    return model.QK.AB.detach().cpu(), model.OV.AB.detach().cpu()
