"""The data of an ensemble's seeds are those that each draws alone, however they are drawn."""

import time

import pytest
import torch

from interp.models.build import build_model
from interp.models.config import TransformerConfig
from interp.tasks import LinearRegression, ReluNetworks, TokenLayout
from interp.training import Recipe
from interp.training.curriculum import Curriculum, Ramp
from interp.training.data import training_prompts
from interp.training.feed import Batches, Feed
from tests.errors import raises_exactly
from tests.training.recipes import GPT2, tiny_recipe

SEEDS = (3, 0, 7)
CPU = torch.device("cpu")
GAUSSIAN = LinearRegression(dim=3, n_points=5, inputs="gaussian")
RECIPES = [
    tiny_recipe(name="plain"),
    tiny_recipe(name="scaled", task=LinearRegression(dim=3, n_points=5, inputs="laplace", input_scale=0.3)),
    tiny_recipe(name="noisy", task=LinearRegression(dim=3, n_points=5, inputs="gaussian", noise_std=0.2)),
    tiny_recipe(name="interleaved", model=GPT2, task=GAUSSIAN),
    tiny_recipe(name="y first", model=TransformerConfig(dim=3, layout=TokenLayout(y_position="first"))),
    tiny_recipe(
        name="interleaved, y first",
        model=TransformerConfig(dim=3, layout=TokenLayout(kind="interleaved", y_position="first"), causal=True),
        task=GAUSSIAN,
    ),
    tiny_recipe(name="networks", model=GPT2, task=ReluNetworks(dim=3, n_points=5)),
    tiny_recipe(
        name="growing",
        model=GPT2,
        curriculum=Curriculum(dims=Ramp(start=1, every=10), points=Ramp(start=3, every=10)),
    ),
]


def assert_batches(batches: Batches, recipe: Recipe, step: int, seeds: tuple[int, ...] = SEEDS) -> None:
    """They are what each seed draws alone."""
    model = build_model(recipe.model, recipe.task)
    for seed, tokens, ys in zip(seeds, *batches, strict=True):
        alone = training_prompts(recipe, seed, step)
        assert torch.equal(tokens, model.tokens(alone))
        assert torch.equal(ys, alone.ys)


def feed_of(recipe: Recipe, *, threads: bool) -> Feed:
    """A feed on the CPU, with threads that draw or, as on a GPU, without."""
    feed = Feed(recipe, SEEDS, CPU)
    if not threads:
        feed.close()
        feed._threads = None
    return feed


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_seed_gets_the_batches_that_it_draws_alone(recipe, threads):
    feed = feed_of(recipe, threads=threads)
    for step in (0, 1, 2, 19, 20, 31, 30, recipe.steps - 1):  # in order, and not
        assert_batches(feed.take(step), recipe, step)
    feed.keep(SEEDS[1:])
    assert_batches(feed.take(33), recipe, 33, SEEDS[1:])
    feed.close()


def slow(monkeypatch, slow_step: int) -> None:
    """Let threads take their time to draw for an update."""
    fill = Feed._fill

    def filling(self, tokens, ys, seed, step):
        if step == slow_step:
            time.sleep(0.1)
        fill(self, tokens, ys, seed, step)

    monkeypatch.setattr(Feed, "_fill", filling)


@pytest.mark.parametrize("then", [1, 3])
def test_what_was_drawn_ahead_in_vain_is_written_over(monkeypatch, then):
    slow(monkeypatch, 1)
    feed = Feed(RECIPES[0], SEEDS, CPU)
    feed.take(0)
    assert_batches(feed.take(then), RECIPES[0], then)
    feed.close()


def test_a_batch_stays_while_the_next_one_is_drawn_into_the_other_memory(monkeypatch):
    slow(monkeypatch, 1)
    feed = Feed(RECIPES[0], SEEDS, CPU)
    first = feed.take(0)
    feed._wait()
    assert_batches(first, RECIPES[0], 0)
    second, third = feed.take(1), feed.take(2)
    assert second[0].data_ptr() != first[0].data_ptr()
    assert third[0].data_ptr() == first[0].data_ptr()
    feed.close()


@pytest.mark.parametrize("threads", [True, False])
def test_what_goes_wrong_is_raised_and_not_taken_for_data(monkeypatch, threads):
    fill, failures = Feed._fill, iter([True])

    def failing(self, tokens, ys, seed, step):
        if step == 1 and seed == 0 and next(failures, False):
            raise OSError("no more numbers")
        fill(self, tokens, ys, seed, step)

    monkeypatch.setattr(Feed, "_fill", failing)
    feed = feed_of(RECIPES[0], threads=threads)
    feed.take(0)
    with raises_exactly(OSError, "no more numbers"):
        feed.take(1)
    assert_batches(feed.take(1), RECIPES[0], 1)
    feed.close()


def test_prompts_that_are_not_finite_are_refused_as_for_a_seed_alone():
    recipe = tiny_recipe(task=LinearRegression(dim=3, n_points=5, input_scale=1e39))
    feed = Feed(recipe, SEEDS, CPU)
    with pytest.raises(ValueError, match="`xs` holds NaN or infinite values; prompts must be finite"):
        feed.take(0)
    feed.close()
