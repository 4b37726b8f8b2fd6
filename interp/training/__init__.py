"""Recipes, the training loop, checkpoints."""

from interp.training.checkpoints import checkpoint_steps, load_checkpoint
from interp.training.loop import DivergedError, train
from interp.training.many import Run, train_many
from interp.training.recipe import LanguageRecipe, Recipe
from interp.training.recipes import RECIPES, get_language_recipe, get_recipe
from interp.training.seeds import train_ensemble, train_seeds

__all__ = [
    "RECIPES",
    "DivergedError",
    "LanguageRecipe",
    "Recipe",
    "Run",
    "checkpoint_steps",
    "get_language_recipe",
    "get_recipe",
    "load_checkpoint",
    "train",
    "train_ensemble",
    "train_many",
    "train_seeds",
]
