from dataclasses import replace
from itertools import islice

import pytest
import torch

from interp.bench import BenchOptions
from interp.bench.plain_training import PlainLinearAttention, plain_batches
from interp.bench.training import compare, weight_difference
from interp.models.transformer import RegressionTransformer
from interp.training import get_recipe
from interp.training.data import training_prompts
from tests.training.recipes import transformer_of

CPU = torch.device("cpu")
SMALL = replace(get_recipe("lsa-1layer"), batch_size=16, steps=5)


def test_the_plain_model_predicts_what_ours_does():
    model = RegressionTransformer(transformer_of(SMALL), SMALL.task, seed=0)
    tokens = model.tokens(SMALL.task.sample(8))
    plain = PlainLinearAttention.like(model)
    torch.testing.assert_close(plain(tokens), model(tokens)[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_both_loops_reach_the_same_weights_on_the_same_data(schedule):
    assert weight_difference(replace(SMALL, schedule=schedule), CPU) < 1e-6


def test_loops_that_differ_stop_the_comparison(monkeypatch):
    monkeypatch.setattr("interp.bench.training.TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="our training loop and the plain one reach disagree"):
        weight_difference(SMALL, CPU)


def test_plain_batches_follow_the_law_of_the_task():
    (tokens, targets), (others, _) = islice(plain_batches(replace(SMALL, batch_size=4096), 0, CPU), 2)
    prompts = training_prompts(replace(SMALL, batch_size=4096), 0, 0)
    ours = SMALL.model.layout.tokens(prompts)
    assert tokens.shape == ours.shape
    assert not torch.equal(tokens, others)
    assert (tokens[:, -1, -1] == 0).all()
    assert tokens[..., :-1].abs().max() <= 0.5
    assert targets.var().item() == pytest.approx(prompts.ys.var().item(), rel=0.1)
    assert tokens[:, :-1, -1].var().item() == pytest.approx(targets.var().item(), rel=0.1)


def test_seconds_are_per_update():
    (comparison,) = compare(BenchOptions(repeats=1), SMALL, n_steps=2, gpt2=())
    assert comparison.unit == "update"
    assert len(comparison.ours_runs) == len(comparison.reference_runs)
    assert comparison.note == (
        "recipe lsa-1layer, batches of 16, drawing the data included, runs of 2 updates; "
        "the difference is of weights, after 2 updates"
    )
