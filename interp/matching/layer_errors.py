"""How far every layer is from the answer, against the number of examples it has seen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp.matching.readouts import ask_many_queries, default_readout, layer_states, native_predictions, problems_of
from interp.models.protocol import HookedRegressor
from interp.solvers import Regressions
from interp.tasks import Prompts
from probes import fit_on_prompts, resampling_weights
from probes.intervals import percentiles

Readout = Literal["auto", "native", "refitted"]


@dataclass(frozen=True)
class LayerPredictions:
    """What every layer, read linearly, predicts for prompts that no readout was fitted to."""

    values: Float[Tensor, "layer prompt column"]
    problems: Regressions
    """The same prompts as a solver is given them; its predictions have the same columns."""

    @property
    def n_examples(self) -> NDArray[np.int_]:
        """How many examples each column has seen."""
        return np.repeat(self.problems.prefixes, self.problems.queries.shape[2])

    def zero(self) -> "LayerPredictions":
        """The same problems, answered with 0 by a single layer."""
        return LayerPredictions(torch.zeros_like(self.values[:1]), self.problems)

    def squared_errors(self, predictions: Float[Tensor, "*subject prompt column"] | None = None) -> NDArray[np.float64]:
        """``(prediction - y)^2`` [layer prompt column] of the layers, or of other predictions for these prompts."""
        values = self.values if predictions is None else predictions
        return np.asarray((values - self.problems.targets.to(values)).square().cpu())


def layer_predictions(
    model: HookedRegressor,
    prompts: Prompts,
    *,
    readout: Readout = "auto",
    first_point: int = 1,
    n_queries: int = 32,
    seed: int = 0,
) -> LayerPredictions:
    """The predictions of all layers for the second half of the prompts, from one forward pass.

    The readout is the model's own (``native``), or one linear map per layer in closed form (``refitted``): ridge
    regression of the next y on the first half of the prompts, its penalty chosen on a quarter of that half, one map for
    all points from ``first_point`` on. ``auto`` takes the native one where every layer holds its prediction in the
    coordinate the model reads. A model that predicts the query alone is asked ``n_queries`` per context. Raises
    ValueError for an unknown readout, fewer than 8 prompts, or a model without ``decode`` for the native one.
    """
    if readout not in ("auto", "native", "refitted"):
        raise ValueError(f"Unknown readout {readout!r}; known are auto, native, refitted.")
    if len(prompts) < 8:
        raise ValueError(
            f"Readouts are fitted to half of the prompts and judged on the others: give at least 8, not {len(prompts)}."
        )
    fitted, judged = ask_many_queries(model, prompts, n_queries, seed).halves()
    problems, states = problems_of(model, judged), layer_states(model, judged)
    if (default_readout(model) if readout == "auto" else readout) == "native":
        return LayerPredictions(native_predictions(model, states).to(problems.targets), problems)
    of_fitted = problems_of(model, fitted)
    kept = slice(first_point if len(of_fitted.prefixes) > 1 else 0, None)
    before = layer_states(model, fitted)[:, :, kept]
    probes = fit_on_prompts(before, of_fitted.targets[:, kept, None].to(before.device))
    return LayerPredictions(probes(states)[..., 0].to(problems.targets), problems)


def layer_errors(
    model: HookedRegressor,
    prompts: Prompts,
    *,
    readout: Readout = "auto",
    first_point: int = 1,
    n_queries: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean squared error of every layer's readout against the number of examples it has seen.

    Arguments and errors as of `layer_predictions`. Columns: layer (0 is the embedding), n_examples, error, ci_low,
    ci_high (95 % bootstrap over prompts).
    """
    found = layer_predictions(model, prompts, readout=readout, first_point=first_point, n_queries=n_queries, seed=seed)
    return error_table(found.squared_errors(), found.n_examples)


def error_table(
    squared: Float[NDArray[np.float64], "layer prompt column"], n_examples: NDArray[np.int_]
) -> pd.DataFrame:
    """Means over prompts and over columns of as many examples, with intervals; columns as of `layer_errors`."""
    weights = resampling_weights(squared.shape[1])
    tables = []
    for count in np.unique(n_examples):
        by_prompt = squared[:, :, n_examples == count].mean(-1)  # [layer prompt]
        low, high = percentiles(weights @ by_prompt.T)
        table = pd.DataFrame({"error": by_prompt.mean(1), "ci_low": low, "ci_high": high})
        tables.append(table.assign(layer=range(len(table)), n_examples=int(count)))
    table = pd.concat(tables).sort_values(["layer", "n_examples"], ignore_index=True)
    return table[["layer", "n_examples", "error", "ci_low", "ci_high"]]
