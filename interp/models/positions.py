"""Position encodings."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sinusoids(n_pos: int, width: int, device: torch.device | None = None) -> Float[Tensor, "pos width"]:
    """Sines in even channels, cosines in odd ones, wavelengths from 2 pi to 10000 * 2 pi (Vaswani et al. 2017).

    In float32, made on PyTorch's default device unless one is given.
    """
    position = torch.arange(n_pos, dtype=torch.float64, device=device)[:, None]
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, width, 2, dtype=torch.float64, device=device) / width)
    table = torch.zeros(n_pos, width, dtype=torch.float64, device=device)
    table[:, 0::2] = (position * rate).sin()
    table[:, 1::2] = (position * rate).cos()[:, : width // 2]
    return table.float()
