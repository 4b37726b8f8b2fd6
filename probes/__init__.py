"""Linear readouts of activations, one per layer, with intervals over prompts. Knows nothing of models or tasks."""

from probes.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_ratio,
    interval_of_mean,
    interval_of_ratio,
    mean_over_runs,
)
from probes.resampling import NamedSums, ResampledMeans, ResampledSums, resampled_means, resampling_weights
from probes.ridge import LayerwiseRidge, LinearProbes, PromptwiseRidge, fit_on_prompts
from probes.scores import Spread, cosine_score, normalised_mse, prompt_cosines, prompt_errors, r2_score

__all__ = [
    "Interval",
    "LayerwiseRidge",
    "LinearProbes",
    "NamedSums",
    "PromptwiseRidge",
    "ResampledMeans",
    "ResampledSums",
    "Spread",
    "bootstrap_mean",
    "bootstrap_ratio",
    "cosine_score",
    "fit_on_prompts",
    "interval_of_mean",
    "interval_of_ratio",
    "mean_over_runs",
    "normalised_mse",
    "prompt_cosines",
    "prompt_errors",
    "r2_score",
    "resampled_means",
    "resampling_weights",
]
