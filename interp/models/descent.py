"""Gradient descent as the weights of a linear-attention layer."""

import torch

from interp.models.attention import Attention
from interp.models.config import TransformerConfig


@torch.no_grad()
def write_descent(attn: Attention, cfg: TransformerConfig, eta_over_n: float, gamma: float = 0.0) -> None:
    """Make a layer one step of GD, or of GD++ where gamma is not 0.

    Keys and queries read x; values write -eta/n times y into y, and -gamma times x into x (von Oswald et al. 2022,
    Proposition 1 and section 3). For one head as wide as the stream, on (x, y) tokens.
    """
    eye = torch.eye(cfg.d_model)[None]
    read_x, write = torch.zeros_like(eye), torch.zeros_like(eye)
    x, y = cfg.x_slice, cfg.y_index
    read_x[:, x, x] = eye[:, x, x]
    write[:, x, x] = -gamma * eye[:, x, x]
    write[:, y, y] = -eta_over_n
    for weight, values in ((attn.W_Q, read_x), (attn.W_K, read_x), (attn.W_V, eye), (attn.W_O, write)):
        weight.copy_(values)
