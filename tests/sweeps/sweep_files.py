"""Sweeps that are over in a moment."""

import textwrap
from pathlib import Path
from typing import Any

from interp.sweeps import Sweep, make_sweep
from interp.training import RECIPES, Recipe
from tests.training.recipes import tiny_recipe

FEW = {"loss": {"n_prompts": 64}, "match": {"n_prompts": 16, "n_queries": 4, "solvers": ["gd"], "steps": [1, 2]}}


def put_recipe(monkeypatch, **options) -> Recipe:
    """A tiny recipe among those of the toolkit."""
    recipe = tiny_recipe(**options)
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    return recipe


def small_sweep(**content: Any) -> Sweep:
    """Two depths of the tiny recipe, and two seeds."""
    return make_sweep(
        {
            "name": "small",
            "recipe": "tiny",
            "seeds": [0, 1],
            "grid": {"model.n_layers": [1, 2]},
            "analyses": ["loss"],
            "options": {"loss": FEW["loss"]},
            **content,
        }
    )


def write_toml(folder: Path, text: str) -> Path:
    """A sweep file in a folder."""
    path = folder / "a.toml"
    path.write_text(textwrap.dedent(text))
    return path
