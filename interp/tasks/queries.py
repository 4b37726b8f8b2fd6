"""Where the queries of a prompt stand with respect to its examples."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator

QueryLaw = Literal["fresh", "orthogonal", "example"]
"""``fresh``: as any input; ``orthogonal``: orthogonal to all examples; ``example``: one of them (Garg et al. 2022)."""


def check_queries(law: QueryLaw, n_examples: int, room: int) -> None:
    """Refuse contexts that leave no query of the law. Raises ValueError.

    ``room`` is the number of dimensions that inputs have: a query orthogonal to the examples needs one that is left.
    """
    if law == "example" and n_examples == 0:
        raise ValueError("query='example' asks about one of the examples, and there are none; use n_points=2 or more.")
    if law == "orthogonal" and n_examples >= room:
        raise ValueError(
            f"query='orthogonal' needs a direction that no example has, and {n_examples} examples span all {room} "
            f"dimensions of the inputs; use n_points={room} or less."
        )


def place_queries(
    law: QueryLaw,
    context: Float[Tensor, "prompt example dim"],
    fresh: Float[Tensor, "prompt query dim"],
    seed: int,
    stream: str,
) -> Float[Tensor, "prompt query dim"]:
    """The queries of a law, made from ``fresh`` ones of the same context, of which `check_queries` thinks well.

    ``stream`` names their randomness. Orthogonal ones are in float64.
    """
    if law == "fresh":
        return fresh
    if law == "orthogonal":
        return _orthogonal(context, fresh)
    n_prompts, n_examples, _ = context.shape
    generator = make_generator(seed, stream)
    which = torch.randint(n_examples, (n_prompts, fresh.shape[1]), generator=generator).to(context.device)
    return context[torch.arange(n_prompts, device=context.device)[:, None], which]


def _orthogonal(
    context: Float[Tensor, "prompt example dim"], fresh: Float[Tensor, "prompt query dim"]
) -> Float[Tensor, "prompt query dim"]:
    """What the fresh queries have outside the span of the examples, lengthened to their own norms, in float64."""
    context, fresh = context.double(), fresh.double()
    basis = torch.linalg.qr(context.mT).Q  # [prompt dim example], orthonormal columns that span the examples
    outside = fresh
    for _ in range(2):  # once more for what rounding leaves inside
        outside = outside - (outside @ basis) @ basis.mT
    norm, left = (torch.linalg.vector_norm(values, dim=-1, keepdim=True) for values in (fresh, outside))
    return outside * (norm / left.where(left > 0, 1.0))
