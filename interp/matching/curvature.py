"""The curvature view: how GD++, and how trained layers, reshape the spectrum of X^T X."""

from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.circuits import is_linear_on_pairs
from interp.matching.readouts import hook_names, problems_of, run_options
from interp.models.protocol import HookedRegressor
from interp.solvers import GradientDescentPlus
from interp.tasks import Prompts
from probes import bootstrap_mean


def reshaped_spectra(
    model: HookedRegressor, prompts: Prompts, solver: GradientDescentPlus, steps: int
) -> Float[Tensor, "step prompt dim"]:
    """Eigenvalues of X_k^T X_k before step 1 and after each of ``steps`` steps of GD++, in float64.

    Each step maps lambda to ``lambda (1 - gamma lambda)^2`` (von Oswald et al. 2022, appendix A.10). They stand in
    the places they had at the start, where they ascended. ``model`` says which examples a prompt's query has.
    """
    return solver.straightened(problems_of(model, prompts).spectrum.eigenvalues[:, -1], range(steps + 1))


@torch.no_grad()
def measured_spectra(
    model: HookedRegressor, prompts: Prompts, *, directions: Literal["start", "own"] = "start"
) -> Float[Tensor, "layer prompt dim"]:
    """The spectrum of X_l^T X_l, with X_l the x coordinates of the examples' streams after layer l, in float64.

    Layer 0 is the embedding. What a trained layer does to X need not be diagonal where S is. ``start`` follows the
    eigenvectors v of S, in the order of their eigenvalues there, by ``v^T X_l^T X_l v``: for GD++ the eigenvalue
    itself. ``own`` gives the eigenvalues of each X_l^T X_l, ascending. Raises ValueError for models whose stream has
    no x.
    """
    if not is_linear_on_pairs(model):
        raise ValueError(
            "The spectrum of X^T X can be followed through layers of linear attention on (x, y) tokens, whose stream "
            f"keeps x in place; this is {type(model).__name__} with {model.cfg}."
        )
    names = hook_names(model)
    _, cache = model.run_with_cache(
        model.tokens(prompts), names_filter=lambda name: name in names, **run_options(prompts)
    )
    streams = torch.stack([cache[name] for name in names])[:, :, : prompts.n_examples, model.cfg.x_slice].double()
    if directions == "own":
        return torch.linalg.eigvalsh(streams.mT @ streams).clamp(min=0).cpu()
    vectors = problems_of(model, prompts).spectrum.vectors[:, -1].to(streams)  # [prompt dim direction]
    along: Tensor = (streams @ vectors).square().sum(2)
    return along.cpu()


def log_condition(spectra: Float[Tensor, "layer prompt dim"]) -> Float[Tensor, "layer prompt"]:
    """Base-10 logarithm of largest over smallest eigenvalue; those below 1e-12 of the largest count as 1e-12 of it."""
    largest = spectra.amax(-1)
    return -(spectra.amin(-1) / largest).clamp(min=1e-12).log10()


def curvature_table(model: HookedRegressor, prompts: Prompts, solver: GradientDescentPlus) -> pd.DataFrame:
    """Both spectra side by side, averaged over prompts.

    Columns: source (``model`` or ``gd++``), layer (0 to the model's number of them), direction (0 has the smallest
    eigenvalue of S), eigenvalue with ci_low and ci_high, share (of the sum of the prompt's eigenvalues: what a layer
    that only rescales x leaves as it is), start (the eigenvalue at layer 0), log10_condition (of the layer, the mean
    over prompts of `log_condition`). Raises ValueError as `measured_spectra`.
    """
    spectra = {
        "model": measured_spectra(model, prompts),
        "gd++": reshaped_spectra(model, prompts, solver, model.cfg.n_layers),
    }
    rows = []
    for source, spectrum in spectra.items():
        values = spectrum.numpy()
        start = values[0].mean(0)
        own = measured_spectra(model, prompts, directions="own") if source == "model" else spectrum
        condition = log_condition(own).mean(1).tolist()
        shares = values / np.maximum(values.sum(-1, keepdims=True), np.finfo(float).tiny)
        for layer in range(len(values)):
            for direction in range(values.shape[-1]):
                mean = bootstrap_mean(values[layer, :, direction])
                rows.append(
                    {
                        "source": source,
                        "layer": layer,
                        "direction": direction,
                        "start": float(start[direction]),
                        "eigenvalue": mean.estimate,
                        "ci_low": mean.low,
                        "ci_high": mean.high,
                        "share": float(shares[layer, :, direction].mean()),
                        "log10_condition": condition[layer],
                    }
                )
    return pd.DataFrame(rows)
