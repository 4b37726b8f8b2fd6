"""Recipes, the training loop, checkpoints."""

from interp.training.checkpoints import checkpoint_steps, load_checkpoint
from interp.training.loop import DivergedError, train
from interp.training.many import Run, train_many
from interp.training.recipe import Recipe
from interp.training.recipes import RECIPES, get_recipe

__all__ = [
    "RECIPES",
    "DivergedError",
    "Recipe",
    "Run",
    "checkpoint_steps",
    "get_recipe",
    "load_checkpoint",
    "train",
    "train_many",
]
