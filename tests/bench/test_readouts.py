from dataclasses import replace

import pytest
import torch

import interp
from interp.bench import BenchOptions
from interp.bench.plain_readouts import train_on_states, train_on_the_model
from interp.bench.readouts import Workload, compare, read_all_layers
from interp.matching.readouts import layer_states
from interp.models.build import build_model
from interp.training import get_recipe
from tests.training.recipes import transformer_of

TINY = Workload(n_prompts=256, n_steps=800, timed_steps=2, batch_size=64)


@pytest.fixture
def model():
    recipe = get_recipe("garg-tiny")
    return build_model(replace(transformer_of(recipe), n_layers=1, width=16, n_heads=2), recipe.task, seed=1)


def test_a_readout_trained_long_enough_comes_to_the_least_squares_one():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(200, 4, 5, generator=generator)
    targets = states @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]) + 0.7
    readout = train_on_states(states, targets, steps=1500, batch_size=64, lr=3e-2)
    torch.testing.assert_close(readout(states), targets, rtol=0, atol=1e-2)


def test_training_on_the_model_lowers_the_error_of_the_readout():
    model = interp.load("garg-tiny")
    prompts = model.task.sample(64, seed=9)
    states = layer_states(model, prompts)[8]
    readout = train_on_the_model(model, 8, steps=200, batch_size=16, lr=1e-2)
    with torch.no_grad():
        error = (readout(states) - prompts.ys).square().mean()
    assert error < 0.5 * prompts.ys.square().mean()


def test_the_closed_form_errs_no_more_on_its_own_prompts_than_any_other_readout(model):
    prompts = model.task.sample(256, seed=9)
    states = layer_states(model, prompts)
    probes = read_all_layers(model, prompts)
    adam = train_on_states(states[1], prompts.ys, steps=300, batch_size=64, lr=1e-2)
    with torch.no_grad():
        ours, theirs = (
            (answers - prompts.ys).square().mean() for answers in (probes(states)[1, ..., 0], adam(states[1]))
        )
    assert ours < theirs * 1.05


def test_seconds_of_the_sample_are_scaled_to_all_updates_and_a_worse_readout_stops_the_comparison(monkeypatch):
    (comparison,) = compare(BenchOptions(repeats=1), TINY)
    assert comparison.reference_s > 0
    assert "800 updates on batches of 64 for each layer, of which 2 were timed" in comparison.note
    monkeypatch.setattr("interp.bench.readouts.TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="held-out error of the closed form and that of trained readouts disagree"):
        compare(BenchOptions(repeats=1), TINY)
