"""How alike a layer and an algorithm are, prompt by prompt."""

import torch
from jaxtyping import Float
from torch import Tensor

FLOOR = 1e-6
"""Errors below this share of the targets' norm are rounding noise of single precision, and count as none."""


def similarity_of_errors(
    layers: Float[Tensor, "layer prompt column"],
    iterates: Float[Tensor, "step prompt column"],
    targets: Float[Tensor, "prompt column"],
) -> Float[Tensor, "layer step prompt"]:
    """Cosine between ``prediction - y`` of each layer and of each iterate, the vectors running over columns.

    In [-1, 1], blind to scale: errors right up to a positive factor score 1. Its mean over prompts is Fu et al.'s
    similarity of errors. Two predictions without error agree (1); one with and one without do not (0). Iterates that
    are not finite, or too large to be squared, score NaN.
    """
    scale = targets.norm(dim=-1).clamp(min=torch.finfo(targets.dtype).tiny)
    return _cosines(layers - targets, iterates - targets, floor=FLOOR * scale)


def similarity_of_weights(
    layers: Float[Tensor, "layer prompt prefix dim"], iterates: Float[Tensor, "step prompt prefix dim"]
) -> Float[Tensor, "layer step prompt"]:
    """Cosine between induced weight vectors, averaged over the prefixes of each prompt.

    A vector of exactly 0 has no direction and scores 0; one that is not finite, or too large to be squared, NaN.
    """
    a, b = unit_vectors(layers), unit_vectors(iterates)
    return torch.einsum("lptd,sptd->lsp", a, b) / layers.shape[2]


def prediction_r2(
    layers: Float[Tensor, "layer prompt column"], iterates: Float[Tensor, "step prompt column"]
) -> tuple[Float[Tensor, "layer step prompt"], Float[Tensor, "layer prompt"]]:
    """Residual and total sums of squares of each prompt, for the R2 of an iterate as a prediction of a layer's answer.

    R2 is one minus the ratio of their sums over prompts; it does not ignore scale, as the cosine of errors does. The
    total is taken about the layer's mean answer.
    """
    centred = layers - layers.mean(dim=(1, 2), keepdim=True)
    return residual_squares(layers, iterates), centred.square().sum(-1)


def residual_squares(
    layers: Float[Tensor, "layer prompt column"], iterates: Float[Tensor, "step prompt column"]
) -> Float[Tensor, "layer step prompt"]:
    """Squared distance between each layer's and each iterate's answers to a prompt."""
    square_norm = layers.square().sum(-1)[:, None] + iterates.square().sum(-1)
    residual = square_norm - 2 * torch.einsum("lpc,spc->lsp", layers, iterates)
    return residual.clamp(min=0)


def _cosines(a: Tensor, b: Tensor, floor: Float[Tensor, " prompt"]) -> Float[Tensor, "layer step prompt"]:
    norm_a, norm_b = a.norm(dim=-1), b.norm(dim=-1)
    none_a, none_b = norm_a <= floor, norm_b <= floor
    product = torch.einsum("lpc,spc->lsp", unit_vectors(a), unit_vectors(b))
    some = none_a[:, None] | none_b
    both = none_a[:, None] & none_b
    return product.masked_fill(some, 0.0).masked_fill(both, 1.0).masked_fill(~norm_b.isfinite(), torch.nan)


def unit_vectors(vectors: Float[Tensor, "... component"]) -> Float[Tensor, "... component"]:
    """Each vector along the last axis divided by its norm; a vector of 0 stays 0, one of no finite norm is NaN."""
    norm = vectors.norm(dim=-1, keepdim=True)
    return vectors / norm.where(norm != 0, 1.0).where(norm.isfinite(), torch.nan)
