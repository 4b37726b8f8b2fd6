"""Inputs that lie in a random subspace."""

import math

from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.covariance import random_rotations


def subspace_maps(size: int, dim: int, n_prompts: int, seed: int) -> Float[Tensor, "prompt dim dim"]:
    """Projections onto uniformly random subspaces of ``size`` dimensions, one per prompt, times sqrt(dim / size).

    Isotropic inputs z become ``z @ map`` and keep their mean square norm. Garg et al. (2022, section 4) say "a random
    d/2-dimensional subspace"; their released code scales as we do, and draws one subspace for a whole evaluation.
    """
    basis = random_rotations(n_prompts, dim, make_generator(seed, "subspace"))[..., :size]
    return math.sqrt(dim / size) * (basis @ basis.mT).float()
