"""The data of an ensemble's seeds are those that each draws alone, however they are drawn."""

import pytest
import torch

from interp.models.build import build_model
from interp.tasks import LinearRegression, ReluNetworks
from interp.training.curriculum import Curriculum, Ramp
from interp.training.data import training_prompts
from interp.training.feed import Feed
from tests.training.recipes import GPT2, tiny_recipe

SEEDS = (3, 0, 7)
RECIPES = [
    tiny_recipe(name="plain"),
    tiny_recipe(name="scaled", task=LinearRegression(dim=3, n_points=5, inputs="laplace", input_scale=0.3)),
    tiny_recipe(name="noisy", task=LinearRegression(dim=3, n_points=5, inputs="gaussian", noise_std=0.2)),
    tiny_recipe(name="interleaved", model=GPT2, task=LinearRegression(dim=3, n_points=5, inputs="gaussian")),
    tiny_recipe(name="networks", model=GPT2, task=ReluNetworks(dim=3, n_points=5)),
    tiny_recipe(
        name="growing",
        model=GPT2,
        curriculum=Curriculum(dims=Ramp(start=1, every=10), points=Ramp(start=3, every=10)),
    ),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_seed_gets_the_batches_that_it_draws_alone(recipe):
    feed, model, seeds = Feed(recipe, SEEDS, torch.device("cpu")), build_model(recipe.model, recipe.task), list(SEEDS)
    for step in (0, 1, 2, 19, 20, 31, 30, recipe.steps - 1):  # in order, and not
        if step == 31:
            seeds = seeds[1:]
            feed.keep(seeds)
        for seed, tokens, ys in zip(seeds, *feed.take(step), strict=True):
            alone = training_prompts(recipe, seed, step)
            assert torch.equal(tokens, model.tokens(alone))
            assert torch.equal(ys, alone.ys)
    feed.close()


def test_a_batch_stays_while_the_next_one_is_drawn():
    feed = Feed(tiny_recipe(), SEEDS, torch.device("cpu"))
    tokens, _ = feed.take(0)
    before = tokens.clone()
    feed.close()  # when the threads are done with update 1
    assert torch.equal(tokens, before)
