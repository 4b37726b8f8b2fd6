"""Ridge readouts of all layers, for a whole grid of penalties, from one pass over the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

RELATIVE_GRID = torch.logspace(-8, 4, 25, dtype=torch.float64)
"""Default penalties, in units of each layer's mean eigenvalue of the centred second moment."""

RANK_TOLERANCE = 1e-13
"""Eigenvalues below this share of the largest are taken for rounding noise."""


@dataclass(frozen=True)
class LinearProbes:
    """One affine readout per layer: ``features @ weight + bias``. Frozen and complete."""

    weight: Float[Tensor, "layer d_model target"]
    bias: Float[Tensor, "layer target"]
    alpha: Float[Tensor, " layer"]
    """The penalty that was chosen for each layer."""

    def __call__(self, features: Float[Tensor, "layer *sample d_model"]) -> Float[Tensor, "layer *sample target"]:
        """Read every layer's features with that layer's probe. Raises ValueError for another number of layers."""
        if features.shape[0] != self.weight.shape[0]:
            raise ValueError(f"These probes read {self.weight.shape[0]} layers, got features of {features.shape[0]}.")
        flat = features.to(self.weight.dtype).flatten(1, -2)
        out = torch.baddbmm(self.bias[:, None], flat, self.weight)
        return out.unflatten(1, features.shape[1:-1])

    def read(self, layer: int, features: Float[Tensor, "*sample d_model"]) -> Float[Tensor, "*sample target"]:
        """Read the features of one layer."""
        return features.to(self.weight.dtype) @ self.weight[layer] + self.bias[layer]


class LayerwiseRidge:
    """Streaming ridge regression from every layer's features to the same targets.

    It keeps centred second moments in float64, never the activations, and minimises
    ``|Y - X W - 1 b^T|^2 + alpha |W|^2`` as scikit-learn's ``Ridge`` does. Samples given with ``held_out=True`` do not
    enter the fit; they choose alpha for each layer, by the normalised squared error averaged over targets.
    """

    def __init__(self, alphas: Sequence[float] | None = None) -> None:
        """Take a grid of penalties, by default relative to each layer's scale. Raises ValueError for negative ones."""
        if alphas is not None and (len(alphas) == 0 or min(alphas) < 0):
            raise ValueError(f"`alphas` needs at least one penalty, all from 0 up; got {list(alphas)}.")
        self._alphas = None if alphas is None else torch.tensor(list(alphas), dtype=torch.float64)
        self._fit = _Moments()
        self._held_out = _Moments()

    def update(
        self,
        features: Float[Tensor, "layer sample d_model"],
        targets: Float[Tensor, "sample target"],
        *,
        held_out: bool = False,
    ) -> None:
        """Add a batch.

        Raises ValueError for NaN or infinity, and for shapes that do not fit each other or the batches before.
        """
        if features.ndim != 3 or targets.ndim != 2 or features.shape[1] != targets.shape[0]:
            raise ValueError(
                "Expected features [layer sample d_model] and targets [sample target] with as many samples, got "
                f"{tuple(features.shape)} and {tuple(targets.shape)}."
            )
        if not (torch.isfinite(features).all() and torch.isfinite(targets).all()):
            raise ValueError(
                "Features and targets must be finite; got NaN or infinity. Drop the samples that hold them."
            )
        (self._held_out if held_out else self._fit).add(features.detach().double(), targets.detach().double())

    def probes(self, targets: slice = slice(None)) -> LinearProbes:
        """Solve for every alpha and keep, per layer, the one that does best on the held-out samples.

        Of several groups of targets that were given together, ``targets`` are those of one: they choose alpha, and the
        probes read them alone. With a single alpha no held-out samples are needed. Raises ValueError before enough
        samples have been given.
        """
        fit = self._fit
        if fit.count < 2:
            raise ValueError(f"A readout needs at least 2 samples to fit, got {fit.count}; call update() first.")
        eigenvalues, vectors = torch.linalg.eigh(fit.xx)  # [layer d_model], [layer d_model d_model]
        alphas = self._grid(eigenvalues)  # [alpha layer]
        shrunk = eigenvalues + alphas[..., None]
        rotated = vectors.mT @ fit.xy[..., targets]  # [layer d_model target]
        # Without a penalty, rounding noise in the null space would be divided by itself.
        inside = eigenvalues > RANK_TOLERANCE * eigenvalues[..., -1:]
        inverse = torch.where(inside, 1 / shrunk, 0.0)
        weights = vectors @ (inverse[..., None] * rotated)  # [alpha layer d_model target]
        best = self._choose(weights, targets)
        layers = torch.arange(len(best), device=best.device)
        weight = weights[best, layers]
        bias = fit.y_mean[targets] - torch.einsum("ld,ldt->lt", fit.x_mean, weight)
        return LinearProbes(weight=weight, bias=bias, alpha=alphas[best, layers])

    def _grid(self, eigenvalues: Tensor) -> Float[Tensor, "alpha layer"]:
        if self._alphas is not None:
            return self._alphas.to(eigenvalues)[:, None].expand(-1, eigenvalues.shape[0])
        scale = eigenvalues.mean(-1)
        # A layer whose features are all constant has nothing to read: any positive penalty gives weight 0.
        return RELATIVE_GRID.to(eigenvalues)[:, None] * scale.where(scale > 0, 1.0)

    def _choose(self, weights: Float[Tensor, "alpha layer d_model target"], targets: slice) -> Tensor:
        """Index of the best alpha for each layer."""
        if weights.shape[0] == 1:
            return torch.zeros(weights.shape[1], dtype=torch.long, device=weights.device)
        held_out = self._held_out
        if held_out.count < 2:
            raise ValueError(
                f"Choosing among {weights.shape[0]} penalties needs held-out samples, got {held_out.count}; "
                "call update(..., held_out=True), or give a single alpha."
            )
        xx, xy, yy = held_out.about(self._fit.x_mean, self._fit.y_mean)
        xy, yy = xy[..., targets], yy[targets]
        quadratic = torch.einsum("aldt,lde,alet->alt", weights, xx, weights)
        cross = torch.einsum("aldt,ldt->alt", weights, xy)
        error = yy - 2 * cross + quadratic
        return (error / yy.where(yy > 0, 1.0)).mean(-1).argmin(0)


class PromptwiseRidge:
    """A `LayerwiseRidge` for a known number of prompts that come in order, batch by batch.

    The last share of them is held out to choose alpha. Raises ValueError for fewer prompts than the split needs (one on
    each side).
    """

    def __init__(self, n_prompts: int, alphas: Sequence[float] | None = None, held_out_share: float = 0.25) -> None:
        n_held_out = round(held_out_share * n_prompts)
        if not 1 <= n_held_out < n_prompts:
            raise ValueError(
                f"Holding out {held_out_share:.0%} of {n_prompts} prompts leaves one side of the split empty; "
                "give more prompts."
            )
        self._n_prompts = n_prompts
        self._cut = n_prompts - n_held_out
        self._seen = 0
        self._fitter = LayerwiseRidge(alphas)

    def update(
        self,
        features: Float[Tensor, "layer prompt sample d_model"],
        targets: Float[Tensor, "prompt sample target"],
    ) -> None:
        """Add the next prompts. Raises ValueError as `LayerwiseRidge.update`, and for more prompts than announced."""
        came = self._seen + len(targets)
        if came > self._n_prompts:
            raise ValueError(f"Expected {self._n_prompts} prompts, got {came} of them; announce as many as come.")
        cut = min(max(self._cut - self._seen, 0), len(targets))
        for part, held_out in ((slice(0, cut), False), (slice(cut, None), True)):
            if len(targets[part]):
                self._fitter.update(features[:, part].flatten(1, 2), targets[part].flatten(0, 1), held_out=held_out)
        self._seen = came

    def probes(self, targets: slice = slice(None)) -> LinearProbes:
        """As `LayerwiseRidge.probes`. Raises ValueError before all prompts have come."""
        if self._seen < self._n_prompts:
            raise ValueError(f"Expected {self._n_prompts} prompts, got {self._seen} of them; add the others first.")
        return self._fitter.probes(targets)


def fit_on_prompts(
    features: Float[Tensor, "layer prompt sample d_model"],
    targets: Float[Tensor, "prompt sample target"],
    *,
    alphas: Sequence[float] | None = None,
    held_out_share: float = 0.25,
) -> LinearProbes:
    """Fit readouts at once, holding the last share of the prompts out to choose alpha.

    Raises ValueError for fewer prompts than the split needs (one on each side).
    """
    fitter = PromptwiseRidge(features.shape[1], alphas, held_out_share)
    fitter.update(features, targets)
    return fitter.probes()


@dataclass
class _Moments:
    """Means and centred second moments, merged batch by batch (Chan et al. 1983), in float64."""

    count: int = 0
    x_mean: Tensor = field(default_factory=lambda: torch.zeros(0))  # [layer d_model]
    y_mean: Tensor = field(default_factory=lambda: torch.zeros(0))  # [target]
    xx: Tensor = field(default_factory=lambda: torch.zeros(0))  # [layer d_model d_model]
    xy: Tensor = field(default_factory=lambda: torch.zeros(0))  # [layer d_model target]
    yy: Tensor = field(default_factory=lambda: torch.zeros(0))  # [target]

    def add(self, x: Tensor, y: Tensor) -> None:
        n, mean_x, mean_y = x.shape[1], x.mean(1), y.mean(0)
        if n == 0:
            return
        dx, dy = x - mean_x[:, None], y - mean_y
        xx, xy, yy = dx.mT @ dx, dx.mT @ dy, dy.square().sum(0)
        if self.count == 0:
            self.count, self.x_mean, self.y_mean, self.xx, self.xy, self.yy = n, mean_x, mean_y, xx, xy, yy
            return
        if mean_x.shape != self.x_mean.shape or mean_y.shape != self.y_mean.shape:
            raise ValueError(
                f"This batch has [layer d_model] = {tuple(mean_x.shape)} and {len(mean_y)} targets; the batches before "
                f"had {tuple(self.x_mean.shape)} and {len(self.y_mean)}."
            )
        total = self.count + n
        gap_x, gap_y, between = mean_x - self.x_mean, mean_y - self.y_mean, self.count * n / total
        self.xx += xx + between * gap_x[:, :, None] * gap_x[:, None]
        self.xy += xy + between * gap_x[:, :, None] * gap_y
        self.yy += yy + between * gap_y.square()
        self.x_mean = self.x_mean + gap_x * (n / total)
        self.y_mean = self.y_mean + gap_y * (n / total)
        self.count = total

    def about(self, x_centre: Tensor, y_centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The second moments xx, xy, yy about other centres."""
        gap_x, gap_y = self.x_mean - x_centre, self.y_mean - y_centre
        return (
            self.xx + self.count * gap_x[:, :, None] * gap_x[:, None],
            self.xy + self.count * gap_x[:, :, None] * gap_y,
            self.yy + self.count * gap_y.square(),
        )
