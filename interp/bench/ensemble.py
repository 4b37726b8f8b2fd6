"""Seeds trained as an ensemble, against the same seeds one after the other."""

from dataclasses import replace

import torch

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.options import BenchOptions
from interp.bench.timing import WARM_UPS, side_by_side
from interp.models.build import build_model
from interp.models.folders import named_parameters
from interp.models.regressor import RegressionModel
from interp.training import Recipe, get_recipe, train
from interp.training.ensemble import Ensemble
from interp.training.stack import Member

TOLERANCE = 1e-4
"""Largest difference allowed between weights that a seed reaches either way, in float32."""
CHECKED_STEPS = 20
"""Updates after which weights are compared."""
REQUIRED = {"cpu": 3.0, "cuda": 8.0}
"""The least ratio by the kind of device."""


def compare(
    options: BenchOptions, recipe: Recipe | None = None, n_seeds: int = 10, n_steps: int = 60
) -> list[Comparison]:
    """Seconds per update of ``n_seeds`` seeds at once, and of `train` for one after the other; data included.

    Once as it is, and once compiled, which the reference never is. ``recipe`` is lsa-1layer by default. Either side has
    all of PyTorch's threads. What compiling takes, and building the ensemble, is left out; the reference builds its
    models anew, in less than the time of an update each. Nothing is written to disk. Raises ValueError where weights of
    a seed differ by more than `TOLERANCE`.
    """
    recipe = replace(recipe or get_recipe("lsa-1layer"), steps=n_steps)
    checked = replace(recipe, steps=min(n_steps, CHECKED_STEPS))
    device, seeds = options.device, list(range(n_seeds))

    def one_after_the_other() -> None:
        for seed in seeds:
            train(recipe, seed=seed, device=device)

    difference = weight_difference(checked, seeds, device)
    ensembles = {compiled: _start(recipe, seeds, device, compile=compiled) for compiled in (False, True)}
    for ensemble in ensembles.values():
        _go_on(ensemble, WARM_UPS)
    seconds = side_by_side(
        {
            "as it is": lambda: _go_on(ensembles[False], n_steps),
            "compiled": lambda: _go_on(ensembles[True], n_steps),
            "one by one": one_after_the_other,
        },
        options.repeats,
        device,
        "ensemble",
    )
    for ensemble in ensembles.values():
        ensemble.close()
    return [
        Comparison(
            part="ensemble",
            unit=f"update of {n_seeds} seeds{', compiled' if compiled else ''}",
            reference_name="one after the other",
            ours_runs=tuple(run / n_steps for run in seconds["compiled" if compiled else "as it is"]),
            reference_runs=tuple(run / n_steps for run in seconds["one by one"]),
            required_ratio=REQUIRED[device.type],
            largest_difference=difference,
            device=device.type,
            n_threads=torch.get_num_threads(),
            note=(
                f"recipe {recipe.name}, {n_seeds} seeds, batches of {recipe.batch_size}, drawing the data included, "
                f"runs of {n_steps} updates; the difference is of weights, after {checked.steps} updates, uncompiled"
            ),
        )
        for compiled in ensembles
    ]


def weight_difference(recipe: Recipe, seeds: list[int], device: torch.device) -> float:
    """Largest difference between the weights of any seed after ``recipe.steps`` updates either way.

    Raises ValueError above `TOLERANCE`.
    """
    together = _train_together(recipe, seeds, device)
    largest = 0.0
    for seed, ours in zip(seeds, together, strict=True):
        alone = named_parameters(train(recipe, seed=seed, device=device))
        for name, weights in named_parameters(ours).items():
            largest = max(largest, (weights - alone[name].cpu()).abs().max().item())
    return require_agreement("The weights of seeds trained together and alone", largest, TOLERANCE)


def _train_together(recipe: Recipe, seeds: list[int], device: torch.device) -> list[RegressionModel]:
    with _start(recipe, seeds, device) as ensemble:
        _go_on(ensemble, recipe.steps)
        return [ensemble.model(index) for index in range(len(seeds))]


def _start(recipe: Recipe, seeds: list[int], device: torch.device, *, compile: bool = False) -> Ensemble:
    members = [Member.of(build_model(recipe.model, recipe.task, seed=seed).to(device), recipe) for seed in seeds]
    return Ensemble(recipe, seeds, members, device=device, compile=compile)


def _go_on(ensemble: Ensemble, n_steps: int) -> None:
    for step in range(n_steps):
        ensemble.update(step)
