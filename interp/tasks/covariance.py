"""Shapes that the law of the inputs can take: isotropic, given eigenvalues, or a condition number."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator

Rotation = Literal["prompt", "batch", "fixed"]
"""Who shares a random rotation: nobody, all prompts of one sample (Fu et al.'s released code), or the whole task."""


@dataclass(frozen=True)
class Isotropic:
    """Every direction has the same variance."""

    kind: Literal["isotropic"] = "isotropic"


@dataclass(frozen=True, kw_only=True)
class Eigenvalues:
    """Given variances along rotated axes, relative to the isotropic law. Raises ValueError unless all are positive."""

    values: tuple[float, ...]
    rotation: Rotation = "prompt"
    """``prompt``: a new random rotation for each prompt; ``batch``: one for each sample, a function of its seed;
    ``fixed``: one rotation for the whole task."""
    kind: Literal["eigenvalues"] = "eigenvalues"

    def __post_init__(self) -> None:
        if not self.values or min(self.values) <= 0:
            raise ValueError(f"Covariance eigenvalues must be positive, one per input coordinate; got {self.values}.")


@dataclass(frozen=True, kw_only=True)
class ConditionNumber:
    """Half of the eigenvalues ``value`` times the other half, scaled to trace ``dim`` (Fu et al., section 5.1).

    For an odd dim the larger half takes the small eigenvalues. Raises ValueError below 1.
    """

    value: float
    rotation: Rotation = "prompt"
    kind: Literal["condition_number"] = "condition_number"

    def __post_init__(self) -> None:
        if not self.value >= 1:
            raise ValueError(f"A condition number is at least 1, got {self.value}.")


Covariance = Isotropic | Eigenvalues | ConditionNumber


def input_maps(covariance: Covariance, dim: int, n_prompts: int, seed: int) -> Float[Tensor, "prompt dim dim"] | None:
    """Symmetric square roots of the covariance, one per prompt, or None where they are the identity.

    Isotropic inputs z become ``z @ map``. The rotations are uniform on the orthogonal group and a function of
    ``seed``, or of the dimension alone for a fixed rotation, so that every sample of a task shares it. Raises
    ValueError for a number of eigenvalues that is not the dimension.
    """
    if isinstance(covariance, Isotropic):
        return None
    if isinstance(covariance, Eigenvalues):
        if len(covariance.values) != dim:
            raise ValueError(
                f"The covariance has {len(covariance.values)} eigenvalues, the inputs have {dim} coordinates; "
                "give one eigenvalue per coordinate."
            )
        variances = torch.tensor(covariance.values, dtype=torch.float64)
    else:
        variances = torch.ones(dim, dtype=torch.float64)
        variances[: dim // 2] = covariance.value
        variances *= dim / variances.sum()
    if covariance.rotation == "fixed":
        with torch.device("cpu"):  # a part of the task, which no device may change
            rotation = random_rotations(1, dim, make_generator("fixed rotation", dim))
        rotation = rotation.to(variances.device)
    else:
        n_rotations = n_prompts if covariance.rotation == "prompt" else 1
        rotation = random_rotations(n_rotations, dim, make_generator(seed, "rotation"))
    roots = torch.einsum("pij,j,pkj->pik", rotation, variances.sqrt(), rotation)
    return roots.expand(n_prompts, dim, dim).float()


def random_rotations(n: int, dim: int, generator: torch.Generator) -> Float[Tensor, "n dim dim"]:
    """Orthogonal matrices, uniform on the group (so half of them reflect too), in float64."""
    gaussian = torch.randn(n, dim, dim, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    # QR alone is not uniform over the group; making the diagonal of R positive is what makes it so.
    return q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
