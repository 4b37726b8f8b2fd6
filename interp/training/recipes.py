"""The recipes that come with the toolkit."""

from collections.abc import Iterator
from dataclasses import replace

from interp._names import unknown_name
from interp.models.config import TransformerConfig
from interp.tasks import LinearRegression, SineWaves
from interp.training.recipe import Recipe

_REGRESSION = LinearRegression(dim=10, n_points=11, inputs="uniform")

_LSA_1LAYER = Recipe(
    name="lsa-1layer",
    # Initial weights 500 times the published variance: see "The saddle at 0.388" in docs/design-notes.md.
    model=TransformerConfig(dim=10, n_layers=1, attention="linear", init_variance=1.0),
    task=_REGRESSION,
    steps=3000,
    batch_size=2048,
    lr=1e-3,
    betas=(0.9, 0.98),
    clip_norm=1e-3,
    schedule="cosine",
)

_LSA_1LAYER_PUBLISHED = replace(
    _LSA_1LAYER,
    name="lsa-1layer-published",
    model=replace(_LSA_1LAYER.model, init_variance=0.002),
    schedule="constant",
    keep_every=100,
)


def _deep(n_layers: int, *, looped: bool) -> Recipe:
    """Linear attention of several layers, with the published settings of von Oswald et al. (2022).

    Those of the paper's main figures, two looped layers and five of their own, have its batch; the others, which show
    how things change with depth, a quarter of it.
    """
    shallow = n_layers <= 3
    of_figure = n_layers == (2 if looped else 5)
    return Recipe(
        name=f"lsa-{n_layers}layer{'-looped' if looped else ''}",
        # From these small weights a looped model of two layers passes by GD before it turns to GD++.
        model=TransformerConfig(
            dim=10,
            n_layers=n_layers,
            looped=looped,
            attention="linear",
            init_variance=0.002,
            clamp=None if shallow else 10.0,
        ),
        task=_REGRESSION,
        steps=5000 if n_layers == 2 else 50_000,
        batch_size=2048 if of_figure else 512,
        lr=1e-3 if shallow else 5e-4,
        betas=(0.9, 0.98),
        clip_norm=1e-3 if n_layers <= 2 else 10.0,
    )


def _softmax(n_heads: int, *, layer_norm: bool = False) -> Recipe:
    """One layer of softmax attention with heads as wide as the stream."""
    return Recipe(
        name=f"softmax-1layer{'-1head' if n_heads == 1 else ''}{'-ln' if layer_norm else ''}",
        model=TransformerConfig(
            dim=10,
            n_layers=1,
            n_heads=n_heads,
            head_width=11,
            attention="softmax",
            layer_norm=layer_norm,
            final_norm=False,
        ),
        task=_REGRESSION,
        steps=5000,
        batch_size=2048,
        lr=1e-3,
        betas=(0.9, 0.98),
        clip_norm=1.0,
        schedule="cosine",
    )


def _sine(name: str, *, descent: bool) -> Recipe:
    """Sine waves read through an MLP of 39 features; attention free, or fixed at one step of GD on the features."""
    return Recipe(
        name=name,
        model=TransformerConfig(
            dim=1,
            n_layers=1,
            attention="linear",
            read_in="mlp",
            width=40,
            descent_lr=0.02 if descent else None,
        ),
        task=SineWaves(n_points=11),
        steps=5000,
        batch_size=2048,
        lr=3e-3,
        betas=(0.9, 0.98),
        clip_norm=1.0,
        schedule="cosine",
        frozen=("W_Q", "W_K", "W_V", "W_O") if descent else (),
    )


DEPTHS = range(2, 9)
"""Numbers of layers of the deep recipes, looped and not."""


def _all() -> Iterator[Recipe]:
    yield _LSA_1LAYER
    yield _LSA_1LAYER_PUBLISHED
    for n_layers in DEPTHS:
        yield _deep(n_layers, looped=True)
        yield _deep(n_layers, looped=False)
    for layer_norm in (False, True):
        yield _softmax(2, layer_norm=layer_norm)
        yield _softmax(1, layer_norm=layer_norm)
    yield _sine("sine-mlp", descent=False)
    yield _sine("sine-mlp-gd", descent=True)


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _all()}
"""Recipes by name."""


def get_recipe(name: str) -> Recipe:
    """A recipe by name. Raises ValueError for an unknown one, naming the nearest."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
