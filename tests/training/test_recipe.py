import math

import pytest

from interp.tasks import LinearRegression
from interp.training import RECIPES, Recipe, get_language_recipe, get_recipe
from tests.errors import raises_exactly
from tests.training.recipes import tiny_recipe


def test_a_constant_schedule_rises_and_stays():
    recipe = tiny_recipe(schedule="constant", lr=0.8, warmup=4)
    assert [recipe.lr_at(step) for step in (0, 1, 2, 3, 4, 39)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])


def test_a_cosine_schedule_rises_and_falls_to_0():
    recipe = tiny_recipe(schedule="cosine", lr=0.8, warmup=4, steps=104)
    assert recipe.lr_at(4) == pytest.approx(0.8)
    assert recipe.lr_at(54) == pytest.approx(0.4)
    assert recipe.lr_at(29) == pytest.approx(0.8 * (1 + math.sqrt(0.5)) / 2)
    assert 0 < recipe.lr_at(103) < 0.001 * recipe.lr


def test_without_warm_up_the_first_update_has_the_full_rate():
    assert tiny_recipe(warmup=0).lr_at(0) == tiny_recipe().lr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0, "warmup": 0}, "Recipe 'tiny': `steps` must be at least 1, got 0."),
        ({"batch_size": 0}, "Recipe 'tiny': `batch_size` must be at least 1, got 0."),
        ({"log_every": 0}, "Recipe 'tiny': `log_every` must be at least 1, got 0."),
        ({"resume_every": -1}, "Recipe 'tiny': `resume_every` must be at least 1, got -1."),
        ({"keep_every": -1}, "Recipe 'tiny': `keep_every` must be at least 0, got -1."),
        ({"warmup": 41}, "Recipe 'tiny': `warmup` must lie in 0..40, got 41."),
        ({"lr": 0.0}, "Recipe 'tiny': `lr` must be positive and finite, got 0.0."),
        ({"lr": math.nan}, "Recipe 'tiny': `lr` must be positive and finite, got nan."),
        ({"betas": (0.9, 1.0)}, "Recipe 'tiny': `betas` must lie in [0, 1), got (0.9, 1.0)."),
        ({"weight_decay": -0.1}, "Recipe 'tiny': `weight_decay` must be finite and not negative, got -0.1."),
        ({"clip_norm": 0.0}, "Recipe 'tiny': `clip_norm` must be positive or none, got 0.0."),
        (
            {"task": LinearRegression(dim=4)},
            "Recipe 'tiny': the model reads inputs of dim 3, the task draws them of dim 4; change both.",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with raises_exactly(ValueError, message):
        tiny_recipe(**options)


def test_every_recipe_bears_its_own_name():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}
    for name, recipe in RECIPES.items():
        assert (get_recipe(name) if isinstance(recipe, Recipe) else get_language_recipe(name)) is recipe


def test_recipes_of_the_other_sort_are_refused():
    with raises_exactly(
        ValueError, "Recipe 'induction-2layer' trains a language model; get it with get_language_recipe."
    ):
        get_recipe("induction-2layer")
    with raises_exactly(
        ValueError, "Recipe 'lsa-1layer' trains a model of in-context regression; get it with get_recipe."
    ):
        get_language_recipe("lsa-1layer")


def test_an_unknown_recipe_is_answered_with_the_nearest():
    known = ", ".join(sorted(RECIPES))
    with raises_exactly(ValueError, f"Unknown recipe 'lsa-1laier'; known are {known}. Did you mean 'lsa-1layer'?"):
        get_recipe("lsa-1laier")
    with raises_exactly(
        ValueError, f"Unknown recipe 'induction-1layer'; known are {known}. Did you mean 'induction-2layer'?"
    ):
        get_language_recipe("induction-1layer")
