"""What analyses share is computed once, and is what each would have computed."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from interp.matching import readouts
from interp.matching.memory import current_memory, shared_memory
from interp.matching.readouts import layer_states, model_answers
from interp.matching.twins import make_twins
from interp.tasks import Prompts
from tests.models.tiny import FULL, INTERLEAVED, tiny_model


@pytest.fixture
def counted(monkeypatch):
    """How many batches have been run."""
    runs: list[int] = []
    real = readouts._states_of_batch

    def run(model, prompts):
        runs.append(len(prompts))
        return real(model, prompts)

    monkeypatch.setattr(readouts, "_states_of_batch", run)
    return runs


def test_states_of_the_same_prompts_are_computed_once(counted):
    model = tiny_model()
    prompts = model.task.sample(6)
    apart = layer_states(model, prompts)
    with shared_memory():
        first, again = layer_states(model, prompts), layer_states(model, prompts)
        halves = [layer_states(model, half) for half in (*prompts.halves(), *prompts.halves())]
    assert torch.equal(first, apart)
    assert again.data_ptr() == first.data_ptr()
    assert torch.equal(torch.cat(halves[:2], dim=1), apart)
    assert counted == [6, 6]


def test_a_part_that_is_known_does_not_stand_for_the_whole(counted):
    model = tiny_model()
    prompts = model.task.sample(6)
    with shared_memory():
        parts = [layer_states(model, half) for half in prompts.halves()]
        whole = layer_states(model, prompts)
    assert torch.equal(whole, torch.cat(parts, dim=1))
    assert counted == [3, 3, 6]


def test_a_models_answers_are_read_from_its_remembered_states(counted):
    model = tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)
    prompts = model.task.sample(6)
    apart = model_answers(model, prompts)
    with shared_memory():
        answers = model_answers(model, prompts)
        layer_states(model, prompts[:2])
    assert_close(answers, apart)
    assert counted == [6]


def test_other_prompts_models_and_queries_are_not_mistaken_for_them():
    model, other = tiny_model(seed=1), tiny_model(seed=2)
    prompts = model.task.sample(4, n_queries=2)
    shifted = prompts[torch.arange(4).roll(1)]
    with shared_memory():
        found = [layer_states(*pair) for pair in ((model, prompts), (other, prompts), (model, shifted))]
        single = layer_states(model, prompts.one_query_each())
    assert not torch.isclose(found[0][1:], found[1][1:]).any()
    assert torch.equal(found[2], found[0][:, torch.arange(4).roll(1)])
    assert single.shape[1] == 8


def test_prompts_that_share_their_inputs_alone_are_other_prompts():
    model = tiny_model(seed=1)
    prompts = model.task.sample(4)
    answered_otherwise = replace(prompts, ys=-prompts.ys)
    apart = layer_states(model, answered_otherwise)
    with shared_memory():
        layer_states(model, prompts)
        assert torch.equal(layer_states(model, answered_otherwise), apart)


def test_prompts_that_are_one_in_memory_are_taken_for_no_others():
    """A view that repeats one prompt has rows without a place."""
    model = tiny_model(seed=1)
    one = model.task.sample(1)
    repeated = Prompts(xs=one.xs.expand(3, -1, -1), ys=one.ys.expand(3, -1))
    with shared_memory():
        first, again = layer_states(model, repeated), layer_states(model, repeated)
    assert torch.equal(first, again)


def test_twins_are_made_once_and_only_within_the_context():
    model = tiny_model()
    with shared_memory():
        first, again = make_twins(model), make_twins(model)
        assert all(a is b for a, b in zip(first, again, strict=True))
        assert make_twins(model, count=1)[0] is not first[0]
    assert current_memory() is None
    assert make_twins(model)[0] is not first[0]


def test_an_exception_ends_the_memory_too():
    with pytest.raises(KeyError, match="mine"), shared_memory():
        raise KeyError("mine")
    assert current_memory() is None
