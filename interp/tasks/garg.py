"""The prompts on which Garg et al. test what they trained on standard normal inputs."""

from dataclasses import replace

from interp.tasks.covariance import Eigenvalues
from interp.tasks.linear import LinearRegression

SCALES = {"1/3": 1 / 3, "1/2": 1 / 2, "2": 2.0, "3": 3.0}
"""Factors on inputs and on hidden weights."""
NOISE = 1.0
"""Standard deviation of the noisy output."""


def garg_shifts(task: LinearRegression) -> dict[str, LinearRegression]:
    """Garg et al.'s out-of-distribution prompts (2022, section 4 and appendix), each a change of one thing in ``task``.

    ``standard``: the task itself, but for subspace, orthants and law of queries.

    Inputs: ``skewed covariance`` (eigenvalues in proportion to 1/i^2, trace dim, a rotation for each prompt),
    ``half subspace`` (dim // 2 dimensions, each prompt's own), ``different orthants`` (all examples of a prompt in one
    random orthant, the query where it falls), ``input scale s`` for s = 1/3, 1/2, 2, 3.

    Queries: ``orthogonal query`` (to all examples, of which there are then at most dim - 1) and ``query equals an
    example``. Targets: ``weight scale s`` and ``noisy output`` (standard deviation 1).

    The released code has one rotation, or subspace, in a whole evaluation, and divides noisy targets by their standard
    deviation over sqrt(dim); the paper's words and ours do neither. What a task has no room for is left out: an
    orthogonal query and half a subspace for one dim, and queries about examples where it has none.
    """
    dim = task.dim
    standard = replace(task, subspace=0, orthants=False, query="fresh")
    total = sum(1 / i**2 for i in range(1, dim + 1))
    skewed = Eigenvalues(values=tuple(dim / (total * i**2) for i in range(1, dim + 1)))
    shifts = {"standard": standard, "skewed covariance": replace(standard, covariance=skewed)}
    if dim > 1:
        shifts["half subspace"] = replace(standard, subspace=dim // 2)
    shifts["different orthants"] = replace(standard, orthants=True)
    for name, scale in SCALES.items():
        shifts[f"input scale {name}"] = replace(standard, input_scale=scale * task.input_scale)
    if min(dim, task.n_points) > 1:
        shorter = min(dim, task.n_points)
        shifts["orthogonal query"] = replace(
            standard, query="orthogonal", n_points=shorter, distractors=min(task.distractors, shorter - 1)
        )
    if task.n_points > 1:
        shifts["query equals an example"] = replace(standard, query="example")
    for name, scale in SCALES.items():
        shifts[f"weight scale {name}"] = replace(standard, weight_scale=scale * task.weight_scale)
    return shifts | {"noisy output": replace(standard, noise_std=NOISE)}
