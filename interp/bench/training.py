"""Updates of our training loop, against a plain PyTorch loop without hooks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.gpt2 import CASES, Case, compare_gpt2
from interp.bench.options import BenchOptions
from interp.bench.plain_training import Batch, PlainLinearAttention, plain_batches, train_plainly
from interp.bench.timing import cpu_threads, side_by_side
from interp.models.build import build_model
from interp.training import Recipe, get_recipe, train
from interp.training.data import training_prompts

TOLERANCE = 1e-4
"""Largest difference allowed between weights that the two loops reach on the same data, in float32."""
CHECKED_STEPS = 20
"""Updates after which weights are compared."""
RUNS = 5
"""Short runs of each loop in a repetition: taken in turn, they feel the same ups and downs of the machine."""


def compare(
    options: BenchOptions, recipe: Recipe | None = None, n_steps: int = 60, gpt2: Sequence[Case] = CASES
) -> list[Comparison]:
    """Seconds per update of `interp.training.train` and of the plain loop, on one CPU thread, data included.

    ``recipe`` (lsa-1layer by default) must be one layer and one head of linear attention on uniform prompts
    without noise: the plain loop knows no other. A run is ``n_steps`` updates from new weights. The updates of GPT-2s
    follow, as in `compare_gpt2`.

    Raises ValueError where the loops, given equal data, reach weights that differ by more than `TOLERANCE`.
    """
    recipe = replace(recipe or get_recipe("lsa-1layer"), steps=n_steps)
    checked = replace(recipe, steps=min(n_steps, CHECKED_STEPS))
    device = options.device

    def run_plainly() -> None:
        train_plainly(_plain_start(recipe, device), recipe, plain_batches(recipe, 0, device))

    with cpu_threads(1):
        largest_difference = weight_difference(checked, device)
        seconds = side_by_side(
            {"ours": lambda: train(recipe, device=device), "plain": run_plainly},
            RUNS * options.repeats,
            device,
            "training",
        )
    return [
        Comparison(
            part="training",
            unit="update",
            reference_name="plain PyTorch",
            ours_runs=tuple(run / n_steps for run in seconds["ours"]),
            reference_runs=tuple(run / n_steps for run in seconds["plain"]),
            required_ratio=None,
            largest_difference=largest_difference,
            device=device.type,
            n_threads=1,
            note=(
                f"recipe {recipe.name}, batches of {recipe.batch_size}, drawing the data included, runs of "
                f"{n_steps} updates; the difference is of weights, after {checked.steps} updates"
            ),
        ),
        *compare_gpt2(options, gpt2),
    ]


def weight_difference(recipe: Recipe, device: torch.device) -> float:
    """Largest difference between the weights after ``recipe.steps`` updates of either loop on the same data.

    Raises ValueError above `TOLERANCE`.
    """
    ours = PlainLinearAttention.like(train(recipe, device=device))
    plain = _plain_start(recipe, device)
    train_plainly(plain, recipe, _our_batches(recipe, device))
    difference = max((a - b).abs().max().item() for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    return require_agreement("The weights that our training loop and the plain one reach", difference, TOLERANCE)


def _plain_start(recipe: Recipe, device: torch.device) -> PlainLinearAttention:
    return PlainLinearAttention.like(build_model(recipe.model, recipe.task, seed=0).to(device))


def _our_batches(recipe: Recipe, device: torch.device) -> Iterator[Batch]:
    for step in range(recipe.steps):
        prompts = training_prompts(recipe, 0, step)
        tokens = recipe.model.layout.tokens(prompts).to(device)
        yield tokens, prompts.ys[:, -1].to(device)
