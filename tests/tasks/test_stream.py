"""Prompts by number: the same ones however they are read."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp.tasks import ConditionNumber, LinearRegression, Prompts, PromptStream, SineWaves, stream
from tests.errors import raises_exactly

TASK = LinearRegression(dim=3, n_points=5, covariance=ConditionNumber(value=4.0), noise_std=0.1)
WAVES = SineWaves(n_points=5)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few prompts, so that few prompts fill many."""
    monkeypatch.setattr(stream, "BLOCK", 8)


def same(a: Prompts, b: Prompts) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("xs", "ys", "w", "input_map", "function")]
    assert a.n_queries == b.n_queries
    return all(one is other is None or torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("task", [TASK, WAVES], ids=lambda task: task.kind)
def test_prompts_that_fit_into_a_block_are_those_of_the_task(task):
    prompts = PromptStream(task, 20, seed=3)
    assert same(prompts[:], task.sample(20, seed=3))
    asked = prompts.ask(task, 4, seed=5)
    assert same(asked[:], task.requery(task.sample(20, seed=3), 4, seed=5))
    assert (len(asked), asked.dim, asked.n_queries, asked.n_examples, asked.n_points) == (20, task.dim, 4, 4, 8)


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_prompts=st.integers(1, 30), size=st.integers(1, 12), n_queries=st.sampled_from([1, 3]))
def test_prompts_do_not_depend_on_the_batches_they_are_read_in(n_prompts, size, n_queries):
    prompts = PromptStream(TASK, n_prompts, seed=1)
    prompts = prompts if n_queries == 1 else prompts.ask(TASK, n_queries, seed=2)
    batches = list(prompts.batches(size))
    assert max(map(len, batches)) <= size
    assert same(Prompts.join(batches), prompts[:])
    assert len(prompts[:]) == n_prompts


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("n_prompts", [4, 16, 23, 33])
def test_halves_are_disjoint_and_together_the_whole(n_prompts):
    prompts = PromptStream(TASK, n_prompts)
    first, second = prompts.halves()
    assert (len(first), len(second)) == (n_prompts // 2, n_prompts - n_prompts // 2)
    assert same(Prompts.join([first[:], second[:]]), prompts[:])
    if n_prompts >= 16:  # a half of a half
        assert same(second.halves()[1][:], second[len(second) // 2 :])


@pytest.mark.usefixtures("small_blocks")
def test_a_slice_draws_only_the_blocks_that_it_needs(monkeypatch):
    drawn: list[int] = []
    real = PromptStream._draw

    def draw(self: PromptStream, block: int) -> Prompts:
        drawn.append(block)
        return real(self, block)

    monkeypatch.setattr(PromptStream, "_draw", draw)
    PromptStream(TASK, 1000)[799:802]
    assert drawn == [99, 100]


@pytest.mark.usefixtures("small_blocks")
def test_no_two_blocks_are_alike():
    xs = PromptStream(TASK, 24).ask(TASK, 2)[:].xs
    for part in (xs[:, :4], xs[:, 4:]):  # examples, queries
        blocks = part.reshape(3, 8, -1)
        assert not any(torch.equal(blocks[i], blocks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_what_cannot_be_read_is_refused():
    with raises_exactly(ValueError, "Ask for at least one prompt and one query, got 0 and 1."):
        PromptStream(TASK, 0)
    prompts = PromptStream(TASK, 3)
    with raises_exactly(
        ValueError,
        "A split into a selection and an estimation half needs at least 4 prompts, got 3. Sample more prompts.",
    ):
        prompts.halves()
    with raises_exactly(
        ValueError, "A stream is read in runs of one prompt or more, got slice(None, None, 2) of 3 prompts."
    ):
        prompts[::2]
    for source in (prompts, TASK.sample(3)):
        with raises_exactly(ValueError, "A batch holds at least one prompt, got a batch size of 0; give 1 or more."):
            list(source.batches(0))
