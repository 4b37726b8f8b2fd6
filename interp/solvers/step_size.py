"""The units of a step size."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.search import Range

Normalization = Literal["mean", "sum"]
"""Whether the gradient is divided by the number of examples or not."""


def divisor(spectrum: Spectrum, normalize: Normalization) -> Float[Tensor, "1 prefix 1"] | float:
    """What the gradient is divided by: the length of each prefix, at least 1, or 1."""
    return spectrum.n_examples.clamp(min=1) if normalize == "mean" else 1.0


def step_sizes(spectrum: Spectrum, normalize: Normalization, low: float, high: float) -> Range:
    """Step sizes from ``low`` to ``high`` times 2 over the top eigenvalue, the edge of gradient descent's stability."""
    edge = 2 / spectrum.top * (spectrum.longest if normalize == "mean" else 1)
    return Range(low * edge, high * edge, log=True)
