"""How good a readout is, with intervals over prompts."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from probes.intervals import Interval, bootstrap_mean, bootstrap_ratio

Values = Float[Tensor, "prompt *sample target"]


def normalised_mse(predictions: Values, targets: Values) -> Interval:
    """Squared error over the targets' variance: 0 is perfect, 1 is no better than their mean.

    Both are [prompt ... target]; sums run over all axes but the prompts, which are resampled. Raises ValueError for
    shapes that differ and for constant targets.
    """
    residual, total = _sums_of_squares(predictions, targets)
    return bootstrap_ratio(residual, total)


def r2_score(predictions: Values, targets: Values) -> Interval:
    """Share of the targets' variance explained, ``1 - normalised_mse``: at most 1, below 0 if worse than their mean."""
    error = normalised_mse(predictions, targets)
    return Interval(1 - error.estimate, 1 - error.high, 1 - error.low)


def cosine_score(predictions: Values, targets: Values) -> Interval:
    """Mean over prompts of the cosine between predicted and true target vectors, in [-1, 1], blind to scale.

    The vector of a prompt runs over all of its samples and targets. A prompt whose prediction or target is exactly 0
    counts as 0.
    """
    _check(predictions, targets)
    a, b = predictions.detach().double().flatten(1), targets.detach().double().flatten(1)
    norms = a.norm(dim=1) * b.norm(dim=1)
    cosines = (a * b).sum(1) / norms.where(norms > 0, 1.0)
    return bootstrap_mean(cosines.cpu().numpy())


def _sums_of_squares(predictions: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    _check(predictions, targets)
    predicted, true = predictions.detach().double(), targets.detach().double()
    mean = true.reshape(-1, true.shape[-1]).mean(0)
    residual = (predicted - true).square().flatten(1).sum(1)
    total = (true - mean).square().flatten(1).sum(1)
    return residual.cpu().numpy(), total.cpu().numpy()


def _check(predictions: Tensor, targets: Tensor) -> None:
    if predictions.shape != targets.shape or predictions.ndim < 2:
        raise ValueError(
            f"`predictions` and `targets` must have one shape [prompt ... target], got {tuple(predictions.shape)} "
            f"and {tuple(targets.shape)}."
        )
