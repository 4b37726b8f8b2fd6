"""The recipes that come with the toolkit."""

from interp._names import unknown_name
from interp.models.config import TransformerConfig
from interp.tasks import LinearRegression
from interp.training.recipe import Recipe

_LSA_1LAYER = Recipe(
    name="lsa-1layer",
    # Initial weights 500 times the published variance: see "The saddle at 0.388" in docs/design-notes.md.
    model=TransformerConfig(dim=10, n_layers=1, attention="linear", init_variance=1.0),
    task=LinearRegression(dim=10, n_points=11, inputs="uniform"),
    steps=3000,
    batch_size=2048,
    lr=1e-3,
    betas=(0.9, 0.98),
    clip_norm=1e-3,
    schedule="cosine",
)

_LSA_2LAYER_LOOPED = Recipe(
    name="lsa-2layer-looped",
    # The published settings: from these small weights the model passes by GD before it turns to GD++.
    model=TransformerConfig(dim=10, n_layers=2, looped=True, attention="linear", init_variance=0.002),
    task=LinearRegression(dim=10, n_points=11, inputs="uniform"),
    steps=5000,
    batch_size=2048,
    lr=1e-3,
    betas=(0.9, 0.98),
    clip_norm=1e-3,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (_LSA_1LAYER, _LSA_2LAYER_LOOPED)}
"""Recipes by name."""


def get_recipe(name: str) -> Recipe:
    """A recipe by name. Raises ValueError for an unknown one, naming the nearest."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
