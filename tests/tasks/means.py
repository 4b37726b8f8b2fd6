"""Means of samples against what is expected."""

import torch

SIGMAS = 4
"""Sampling errors that a mean may be off: one in sixteen thousand by chance, and the seeds are fixed."""


def assert_mean(values: torch.Tensor, expected: float) -> None:
    """The mean of independent values is within sampling error of what is expected."""
    values = values.double().flatten()
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - expected) < SIGMAS * error
