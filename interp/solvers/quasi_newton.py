"""What BFGS and L-BFGS share. All run over the last axis and keep it, with length 1."""

import torch
from torch import Tensor

from interp.solvers.conjugate_gradient import RESOLUTION


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products."""
    return (a * b).sum(-1, keepdim=True)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is."""
    return torch.where(denominator != 0, numerator / denominator, 0.0)


def going(downhill: Tensor, start: Tensor) -> Tensor:
    """Whether a gradient is more than rounding noise, given the gradient at the start."""
    return downhill.norm(dim=-1, keepdim=True) > RESOLUTION * start.norm(dim=-1, keepdim=True)


def first_scale(downhill: Tensor, first_step: float) -> Tensor:
    """What gives the first direction the length ``first_step`` (Nocedal and Wright 2006, section 6.1)."""
    return ratio(torch.full_like(downhill[..., :1], first_step), downhill.norm(dim=-1, keepdim=True))
