"""What each update trains on."""

from contextlib import AbstractContextManager, nullcontext

import torch

from interp._seeds import derive_seed
from interp.tasks import Prompts, TokenSequences
from interp.training.recipe import AnyRecipe, LanguageRecipe, Recipe


def training_prompts(recipe: Recipe, seed: int, step: int, device: torch.device | str = "cpu") -> Prompts:
    """The prompts of update ``step`` (0, 1, ...), whatever the updates before it drew; drawn on a device.

    Each kind of device draws other numbers.
    """
    drawn = data_seed(seed, step)
    with drawing_on(device):
        if recipe.curriculum is not None:
            return recipe.curriculum.sample(recipe.task, recipe.batch_size, drawn, step)
        return recipe.task.sample(recipe.batch_size, seed=drawn)


def training_batch(
    recipe: AnyRecipe, seed: int, step: int, device: torch.device | str = "cpu"
) -> Prompts | TokenSequences:
    """What update ``step`` trains on: `training_prompts`, or sequences of the task, drawn alike."""
    if not isinstance(recipe, LanguageRecipe):
        return training_prompts(recipe, seed, step, device)
    with drawing_on(device):
        return recipe.task.sample(recipe.batch_size, seed=data_seed(seed, step))


def data_seed(seed: int, step: int) -> int:
    """The seed of the data of update ``step`` of a run."""
    return derive_seed(seed, "training data", step)


def drawing_on(device: torch.device | str) -> AbstractContextManager[object]:
    """PyTorch's default device for the time being; on the CPU, which is it anyway, without the cost of saying so."""
    device = torch.device(device)
    return nullcontext() if device.type == "cpu" else device
