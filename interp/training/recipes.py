"""The recipes that come with the toolkit."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from interp._names import unknown_name
from interp.models.config import TransformerConfig
from interp.models.gpt2 import GARG_LAYOUT, gpt2_config
from interp.models.lstm_config import LSTMConfig
from interp.models.token_config import TokenModelConfig
from interp.tasks import ConditionNumber, LinearRegression, RepeatedTokens, SineWaves, TokenLayout
from interp.training.curriculum import Curriculum, Ramp
from interp.training.recipe import AnyRecipe, LanguageRecipe, Recipe

_REGRESSION = LinearRegression(dim=10, n_points=11, inputs="uniform")

# Initial weights 500 times the published variance: see "The saddle at 0.388" in docs/design-notes.md.
_ONE_LAYER = TransformerConfig(dim=10, n_layers=1, attention="linear", init_variance=1.0)

_LSA_1LAYER = Recipe(
    name="lsa-1layer",
    model=_ONE_LAYER,
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
    model=replace(_ONE_LAYER, init_variance=0.002),
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


def _copying() -> Recipe:
    """Interleaved x and y: copying is learnt first, then a step of GD (von Oswald et al. 2022, section 4).

    The published settings, but for y's slot: their y tokens reuse the last coordinate of x and their answer is read
    from a channel of the positions, so that their loss starts at 0.91 and not at 5/12. The batch matters: with a
    quarter of it their code had hardly left the plateau by update 10 000.
    """
    return Recipe(
        name="copy-2layer",
        model=TransformerConfig(
            dim=10,
            layout=TokenLayout(kind="interleaved"),
            n_layers=2,
            head_width=20,
            attention=("softmax", "linear"),
            positions="sinusoidal",
            position_mode="concatenate",
            d_pos=10,
            init_variance=0.02,
        ),
        task=_REGRESSION,
        steps=10_000,
        batch_size=2048,
        lr=1e-3,
        betas=(0.9, 0.98),
        clip_norm=10.0,
        keep_every=100,
    )


def _gaussian(dim: int, n_points: int, **task: Any) -> LinearRegression:
    return LinearRegression(dim=dim, n_points=n_points, inputs="gaussian", **task)


def _garg(name: str, task: LinearRegression, *, n_layers: int, width: int, n_heads: int) -> Recipe:
    """A GPT-2 on x, y, x, y, ..., as Garg et al. (2022, appendix A) shape and train it."""
    return Recipe(
        name=name,
        model=gpt2_config(dim=task.dim, n_points=task.n_points, n_layers=n_layers, n_heads=n_heads, width=width),
        task=task,
        steps=500_000,
        batch_size=64,
        lr=1e-4,
        curriculum=Curriculum(dims=Ramp(start=-(-task.dim // 4)), points=Ramp(start=min(task.n_points, 11), step=2)),
        log_every=50,
        resume_every=2000,
    )


def _standard(name: str = "", *, width: int = 256, **task: Any) -> Recipe:
    """`garg-standard`, the model of Garg et al. and Fu et al. (2023), or a variation: days of training on a GPU."""
    return _garg(f"garg-standard{name}", _gaussian(20, 41, **task), n_layers=12, width=width, n_heads=8)


def _tiny(name: str = "", *, width: int = 64, **task: Any) -> Recipe:
    """`garg-tiny`, an hour's training on one core, or a variation of it.

    Inputs of so few coordinates need no curriculum. With ten times the published learning rate, falling to 0, a few
    per cent of the published updates are enough.
    """
    return replace(
        _garg(f"garg-tiny{name}", _gaussian(5, 16, **task), n_layers=8, width=width, n_heads=4),
        steps=30_000,
        lr=1e-3,
        clip_norm=1.0,
        warmup=1000,
        schedule="cosine",
        curriculum=None,
        log_every=10,
        resume_every=500,
    )


def _lstm(like: Recipe, *, n_layers: int, width: int) -> Recipe:
    """The control of Fu et al. (2023, section 5.5): an LSTM on the prompts of a transformer, trained alike."""
    model = LSTMConfig(dim=like.task.dim, layout=GARG_LAYOUT, n_layers=n_layers, width=width)
    return replace(like, name=f"{like.name}-lstm", model=model)


DEPTHS = range(2, 9)
"""Numbers of layers of the deep recipes, looped and not."""

HIDDEN_SIZES = {"tiny": (4, 8, 16, 32, 64), "standard": (8, 16, 32, 64, 256)}
"""Widths of the stream of the hidden-size series (Fu et al. 2023, section 5.4), of dim 5 and of dim 20.

The last is that of the recipe which the others vary.
"""


def _garg_series() -> Iterator[Recipe]:
    """GPT-2s of two sizes: isotropic, noisy and ill-conditioned inputs, hidden sizes, and the LSTM beside them.

    The noise has a twentieth of the targets' variance.
    """
    for size, make, noise_std in (("standard", _standard, 1.0), ("tiny", _tiny, 0.5)):
        yield make()
        yield make("-noisy", noise_std=noise_std)
        yield make("-skewed", covariance=ConditionNumber(value=100.0))
        for width in HIDDEN_SIZES[size][:-1]:
            yield make(f"-width{width}", width=width)
    yield _lstm(_standard(), n_layers=10, width=256)
    yield replace(_lstm(_tiny(), n_layers=4, width=64), lr=3e-3)


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
    yield _copying()
    yield _garg("garg-small", _gaussian(10, 21), n_layers=12, width=128, n_heads=4)
    yield from _garg_series()


# With learned positions, previous-token heads form only where training needs them, in the first period; rotary ones
# look back everywhere. Periods vary, so that positions alone do not find the repeat.
_INDUCTION = LanguageRecipe(
    name="induction-2layer",
    model=TokenModelConfig(d_vocab=128, n_ctx=101, n_layers=2, n_heads=8, d_model=64, positions="rotary"),
    task=RepeatedTokens(d_vocab=128, n_pos=101, shortest=10, longest=50),
    steps=3000,
    batch_size=32,
    lr=3e-3,
    betas=(0.9, 0.98),
    clip_norm=1.0,
    warmup=100,
    schedule="cosine",
    keep_every=100,
)

RECIPES: dict[str, AnyRecipe] = {recipe.name: recipe for recipe in _all()} | {_INDUCTION.name: _INDUCTION}
"""Recipes by name."""


def get_recipe(name: str) -> Recipe:
    """A recipe of a model of in-context regression, by name.

    Raises ValueError for an unknown one, naming the nearest, and for one of a language model.
    """
    recipe = _named(name)
    if not isinstance(recipe, Recipe):
        raise ValueError(f"Recipe {name!r} trains a language model; get it with get_language_recipe.")
    return recipe


def get_language_recipe(name: str) -> LanguageRecipe:
    """A recipe of a language model, by name. Raises ValueError as `get_recipe` does, the other way round."""
    recipe = _named(name)
    if not isinstance(recipe, LanguageRecipe):
        raise ValueError(f"Recipe {name!r} trains a model of in-context regression; get it with get_recipe.")
    return recipe


def _named(name: str) -> AnyRecipe:
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
