from dataclasses import replace

import pytest
import torch

from interp.bench import BenchOptions
from interp.bench.capture import Case, compare
from interp.bench.gpt2 import Case as TrainingCase
from interp.bench.gpt2 import HuggingFaceGPT2, compare_gpt2, gpt2_names
from interp.bench.plain_training import PlainLinearAttention
from interp.bench.plain_transformer import PlainTransformer, plain_weights
from interp.bench.updates import Batch

CPU = torch.device("cpu")
ONCE = BenchOptions(repeats=1)
TINY = Case(recipe="garg-tiny", n_prompts=2)


@pytest.fixture
def batch():
    return Batch.of("garg-tiny", 3, CPU)


@pytest.mark.parametrize("network", [PlainTransformer, HuggingFaceGPT2])
def test_another_network_of_our_weights_predicts_what_ours_does(network, batch):
    torch.testing.assert_close(network.like(batch.model)(batch.tokens), batch.model(batch.tokens))


def test_gradients_are_compared_parameter_by_parameter(batch):
    plain = PlainTransformer.like(batch.model)
    assert batch.require_same(plain, lambda ours: plain_weights(ours, gradients=True), "it") < 1e-12
    theirs = HuggingFaceGPT2.like(batch.model)
    assert batch.require_same(theirs, lambda ours: gpt2_names(plain_weights(ours, gradients=True)), "it") < 1e-12
    assert {name for name, _ in theirs.named_parameters()} == gpt2_names(plain_weights(batch.model)).keys()


def test_a_network_that_differs_in_one_weight_is_refused(batch):
    plain = PlainTransformer.like(batch.model)
    dict(plain.named_parameters())["blocks.3.mlp.2.weight"].data[0, 0] += 0.1
    with pytest.raises(
        ValueError, match=r"^Predictions and gradients of our model and of it disagree: expected a largest"
    ):
        batch.require_same(plain, lambda ours: plain_weights(ours, gradients=True), "it")


def test_a_network_whose_gradients_differ_is_refused(batch):
    plain = PlainTransformer.like(batch.model)
    doubled = {name: 2 * values for name, values in plain_weights(batch.model).items()}
    with pytest.raises(ValueError, match=r"^Predictions and gradients of our model and of it disagree"):
        batch.require_same(plain, lambda ours: doubled, "it")


def test_updates_follow_the_recipe(batch):
    """On the same batch our model and the plain one learn the same, update by update."""
    plain = PlainTransformer.like(batch.model)
    batch.updating(batch.model, 3)()
    batch.updating(plain, 1)()
    assert batch.loss(plain) != batch.loss(batch.model)
    start = Batch.of("garg-tiny", 3, CPU)
    other = PlainTransformer.like(start.model)
    start.updating(other, 3)()
    torch.testing.assert_close(other(start.tokens), batch.model(batch.tokens), rtol=1e-4, atol=1e-5)


def test_every_size_is_a_pass_and_an_update():
    found = compare(ONCE, TINY, [TINY, Case(recipe="lsa-1layer", n_prompts=8)], threads=(1,))
    assert [(row.unit, row.n_threads, row.required_ratio) for row in found] == [
        ("every residual of garg-tiny", 1, 0.87),
        ("pass of garg-tiny", 1, 0.95),
        ("update of garg-tiny", 1, 0.95),
        ("pass of lsa-1layer", 1, 0.95),
        ("update of lsa-1layer", 1, 0.95),
    ]
    assert {row.part for row in found} == {"capture"}
    assert all(row.largest_difference < 1e-5 for row in found)


def test_another_network_stops_the_comparison(monkeypatch):
    like = PlainLinearAttention.like

    def other(model):
        plain = like(model)
        plain.W_V.data *= 2
        return plain

    monkeypatch.setattr(PlainLinearAttention, "like", other)
    with pytest.raises(ValueError, match="of our model and of the network without hook points disagree"):
        compare(ONCE, TINY, [Case(recipe="lsa-1layer", n_prompts=8)], threads=(1,))


def test_a_capture_of_something_else_stops_the_comparison(monkeypatch):
    monkeypatch.setattr(
        "interp.bench.capture.layer_states", lambda model, prompts, batch_size: torch.zeros(9, 2, 16, 64)
    )
    with pytest.raises(ValueError, match="answers and those read from its captured last layer disagree"):
        compare(ONCE, TINY, [], threads=(1,))


def test_training_of_gpt2_is_compared_with_each_number_of_threads():
    case = TrainingCase(recipe="garg-tiny", n_prompts=2, n_updates=2)
    one, again = compare_gpt2(ONCE, [case], threads=(1, 1))
    assert (one.unit, one.n_threads, one.required_ratio) == ("update of garg-tiny", 1, 1.0)
    assert replace(again, ours_runs=one.ours_runs, reference_runs=one.reference_runs) == one
