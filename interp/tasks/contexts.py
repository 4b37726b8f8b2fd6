"""What is done to the examples of a prompt, and not to its queries."""

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.choices import choose


def normalized(
    maps: Float[Tensor, "prompt dim dim"] | None, context: Float[Tensor, "prompt example dim"]
) -> Float[Tensor, "prompt dim dim"]:
    """The maps, or the identity for None, divided by the Frobenius norm of the context that they make."""
    if maps is None:
        maps = torch.eye(context.shape[-1]).expand(len(context), -1, -1)
    return maps / torch.linalg.vector_norm(context @ maps, dim=(1, 2), keepdim=True)


def distracted(ys: Float[Tensor, "prompt example"], count: int, seed: int) -> Float[Tensor, "prompt example"]:
    """The targets with ``count`` of them in each prompt replaced; those of a smaller count are among them."""
    generator = make_generator(seed, "distractors")
    replaced = choose(count, (ys.shape[0], ys.shape[1]), generator)
    return torch.where(replaced, torch.randn(ys.shape, generator=generator), ys)


def in_one_orthant(context: Float[Tensor, "prompt example dim"], seed: int) -> Float[Tensor, "prompt example dim"]:
    """The inputs with one sign per prompt and coordinate, drawn at random, in place of their own."""
    n_prompts, _, dim = context.shape
    positive = torch.rand(n_prompts, 1, dim, generator=make_generator(seed, "orthants")) < 0.5
    return torch.where(positive, context.abs(), -context.abs())
