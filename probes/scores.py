"""How good a readout is, with intervals over prompts."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from probes.intervals import Interval, bootstrap_mean, bootstrap_ratio
from probes.resampling import ResampledMeans

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
    """Mean over prompts of `prompt_cosines`, with its interval."""
    return bootstrap_mean(prompt_cosines(predictions, targets).cpu().numpy())


def prompt_cosines(predictions: Values, targets: Values) -> Float[Tensor, " prompt"]:
    """Cosine between predicted and true target vectors of each prompt, in [-1, 1], blind to scale.

    The vector of a prompt runs over all of its samples and targets. A prompt whose prediction or target is exactly 0
    counts as 0. Raises ValueError for shapes that differ.
    """
    _check(predictions, targets)
    a, b = predictions.detach().double().flatten(1), targets.detach().double().flatten(1)
    norms = a.norm(dim=1) * b.norm(dim=1)
    return (a * b).sum(1) / norms.where(norms > 0, 1.0)


def prompt_errors(predictions: Values, targets: Values) -> Float[Tensor, " prompt"]:
    """Sum of squared errors over the samples and targets of each prompt. Raises ValueError for shapes that differ."""
    _check(predictions, targets)
    return (predictions.detach().double() - targets.detach().double()).square().flatten(1).sum(1)


class Spread:
    """Sums of squares about a mean that is known only after the last prompt.

    About any centre c, ``sum (v - mean)^2 = sum (v - c)^2 - 2 d sum (v - c) + n d^2`` with ``d = mean - c``: linear in
    sums over prompts. The centre is the first value that comes, so that little is lost to cancellation, and nothing of
    a target that never changes.
    """

    def __init__(self) -> None:
        self._centre: Float[Tensor, " target"] | None = None
        self._n_samples = 0

    def terms(self, values: Values) -> Float[NDArray[np.float64], "prompt 2 target"]:
        """Sums over the samples of each prompt of ``(v - c)^2`` and of ``v - c``."""
        values = values.detach().double().flatten(1, -2)
        if self._centre is None:
            self._centre, self._n_samples = values[0, 0], values.shape[1]
        about = values - self._centre
        return np.asarray(torch.stack([about.square().sum(1), about.sum(1)], dim=1).cpu())

    def about_mean(self, terms: ResampledMeans) -> ResampledMeans:
        """From means [2 target] of the terms, those of each prompt's sum of squares about the mean of all, [target]."""
        shift = terms.mean[1] / self._n_samples

        def moved(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            # Rounding must not make a sum of squares negative.
            return np.maximum(sums[..., 0, :] - 2 * shift * sums[..., 1, :] + self._n_samples * shift**2, 0.0)

        return ResampledMeans(moved(terms.mean), moved(terms.resampled))


def _sums_of_squares(predictions: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    residual = prompt_errors(predictions, targets)
    true = targets.detach().double()
    mean = true.reshape(-1, true.shape[-1]).mean(0)
    total = (true - mean).square().flatten(1).sum(1)
    return residual.cpu().numpy(), total.cpu().numpy()


def _check(predictions: Tensor, targets: Tensor) -> None:
    if predictions.shape != targets.shape or predictions.ndim < 2:
        raise ValueError(
            f"`predictions` and `targets` must have one shape [prompt ... target], got {tuple(predictions.shape)} "
            f"and {tuple(targets.shape)}."
        )
