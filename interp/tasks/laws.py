"""Laws that the coordinates of an input are drawn from, each on its own, before any scale or shape."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

InputLaw = Literal["uniform", "gaussian", "exponential", "laplace"]

MOMENTS: dict[InputLaw, tuple[float, float]] = {
    "uniform": (0.0, 1 / 12),
    "gaussian": (0.0, 1.0),
    "exponential": (1.0, 1.0),
    "laplace": (0.0, 2.0),
}
"""Mean and variance of each law."""


def draw_inputs(
    law: InputLaw, shape: tuple[int, int, int], generator: torch.Generator
) -> Float[Tensor, "prompt point dim"]:
    """Independent coordinates: uniform on [-1/2, 1/2], standard normal, exponential of rate 1 or Laplace of scale 1.

    In float32 on the CPU. Exponential draws are -log(1 - u) of uniform ones, of which there are 2^24: none exceeds
    16.7, nor does a Laplace draw, the difference of two.
    """
    xs = torch.empty(shape)
    fill_inputs(law, xs, generator)
    return xs


def fill_inputs(law: InputLaw, xs: Float[Tensor, "prompt point dim"], generator: torch.Generator) -> None:
    """Write into ``xs``, which is contiguous, what `draw_inputs` gives for its shape."""
    if law == "uniform":
        xs.uniform_(-0.5, 0.5, generator=generator)
    elif law == "gaussian":
        xs.normal_(generator=generator)
    else:
        _fill_exponential(xs, generator)
        if law == "laplace":
            taken_off = torch.empty_like(xs)
            _fill_exponential(taken_off, generator)
            xs -= taken_off


def _fill_exponential(xs: Float[Tensor, "prompt point dim"], generator: torch.Generator) -> None:
    # Not Tensor.exponential_: where torch is built with MKL that draws from another generator, seeded by this one,
    # so that the same seed would give other prompts on other machines.
    xs.uniform_(generator=generator).neg_().log1p_().neg_()
