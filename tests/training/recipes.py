"""Runs that are over in a moment, or interrupted."""

from pathlib import Path

import pytest
import torch

from interp.models.config import TransformerConfig
from interp.models.gpt2 import gpt2_config
from interp.tasks import LinearRegression
from interp.training import Recipe, train
from interp.training import loop as loop_module
from interp.training.recipe import AnyRecipe


def tiny_recipe(**options) -> Recipe:
    """40 updates of a two-layer model on inputs of dim 3."""
    return Recipe(
        **{
            "name": "tiny",
            "model": TransformerConfig(dim=3, n_layers=2, n_heads=2, head_width=2, attention="softmax", mlp="relu"),
            "task": LinearRegression(dim=3, n_points=5),
            "steps": 40,
            "batch_size": 16,
            "log_every": 1,
            "resume_every": 5,
            "clip_norm": 1.0,
            "warmup": 4,
            "schedule": "cosine",
            **options,
        }
    )


GPT2 = gpt2_config(dim=3, n_points=5, n_layers=2, n_heads=2, width=8)
"""A small transformer of Garg et al.'s shape."""


def transformer_of(recipe: Recipe) -> TransformerConfig:
    """The config of a recipe that trains a transformer."""
    assert isinstance(recipe.model, TransformerConfig)
    return recipe.model


def distance(first: torch.nn.Module, second: torch.nn.Module) -> float:
    """The Euclidean distance between the weights of two models, all of them taken together."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return float(torch.stack([(ours.detach().cpu() - theirs.detach().cpu()).norm() for ours, theirs in pairs]).norm())


def train_and_stop(recipe: AnyRecipe, folder: Path, *, after: int, seed: int = 0) -> None:
    """Begin a run and interrupt it after so many updates."""
    update = loop_module._update

    def stopping(learning, step):
        if step == after:
            raise KeyboardInterrupt
        return update(learning, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_module, "_update", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder, seed=seed)
