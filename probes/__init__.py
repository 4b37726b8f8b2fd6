"""Linear readouts of activations, one per layer, with intervals over prompts. Knows nothing of models or tasks."""

from probes.intervals import Interval, bootstrap_mean, bootstrap_ratio, mean_over_runs, resampling_weights
from probes.ridge import LayerwiseRidge, LinearProbes, fit_on_prompts
from probes.scores import cosine_score, normalised_mse, r2_score

__all__ = [
    "Interval",
    "LayerwiseRidge",
    "LinearProbes",
    "bootstrap_mean",
    "bootstrap_ratio",
    "cosine_score",
    "fit_on_prompts",
    "mean_over_runs",
    "normalised_mse",
    "r2_score",
    "resampling_weights",
]
