"""Random choices of a given size."""

import torch
from jaxtyping import Bool
from torch import Tensor


def choose(count: int, shape: tuple[int, int], generator: torch.Generator) -> Bool[Tensor, "prompt place"]:
    """``count`` of the places of each prompt, every set equally likely; those of a smaller count are among them."""
    return torch.rand(shape, generator=generator).argsort(dim=1).argsort(dim=1) < count
