import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.tasks import RepeatedTokens, TokenSequences
from tests.errors import raises_exactly


@st.composite
def tasks(draw: st.DrawFn) -> RepeatedTokens:
    shortest = draw(st.integers(1, 9))
    longest = draw(st.integers(shortest, 12))
    d_vocab = draw(st.integers(3, 20))
    bos = draw(st.none() | st.integers(0, d_vocab - 1))
    least = longest + 1 + (bos is not None)
    return RepeatedTokens(
        d_vocab=d_vocab, n_pos=draw(st.integers(least, 40)), shortest=shortest, longest=longest, bos=bos
    )


@given(task=tasks(), seed=st.integers(0, 5))
def test_every_token_comes_again_after_its_period_and_bos_only_at_the_start(task, seed):
    sequences = task.sample(7, seed=seed)
    assert sequences.tokens.shape == (7, task.n_pos)
    for tokens, period in zip(sequences.tokens, sequences.periods.tolist(), strict=True):
        assert task.shortest <= period <= task.longest
        body = tokens[task.n_before :]
        assert torch.equal(body[period:], body[:-period])
        assert body.min() >= 0 and body.max() < task.d_vocab
        if task.bos is not None:
            assert tokens[0] == task.bos and task.bos not in body.tolist()
        if task.d_vocab - task.n_before >= task.longest:
            assert len(set(body[:period].tolist())) == period


def test_the_same_seed_draws_the_same_and_another_one_others():
    task = RepeatedTokens(d_vocab=1000)
    assert torch.equal(task.sample(4, seed=1).tokens, task.sample(4, seed=1).tokens)
    assert not torch.equal(task.sample(4, seed=1).tokens, task.sample(4, seed=2).tokens)


def test_tokens_and_periods_are_uniform():
    task = RepeatedTokens(d_vocab=9, n_pos=12, shortest=3, longest=6, bos=4)
    sequences = task.sample(8000)
    ids = torch.bincount(sequences.tokens[:, 1], minlength=9) / 8000
    assert ids[4] == 0
    torch.testing.assert_close(ids[ids > 0], torch.full((8,), 1 / 8), atol=0.02, rtol=0)
    periods = torch.bincount(sequences.periods)[3:] / 8000
    torch.testing.assert_close(periods, torch.full((4,), 1 / 4), atol=0.02, rtol=0)


def test_a_slice_keeps_its_periods():
    sequences = RepeatedTokens(d_vocab=30, n_pos=30, shortest=4, longest=9).sample(10)
    part = sequences[3:5]
    assert torch.equal(part.tokens, sequences.tokens[3:5]) and torch.equal(part.periods, sequences.periods[3:5])
    assert part.n_before == 1 and len(part) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shortest": 9, "longest": 5}, "Periods need 1 <= shortest <= longest, got 9 and 5."),
        (
            {"n_pos": 51},
            "A period of 50 tokens and one repeated token take 52 positions, got n_pos=51; raise `n_pos` or lower "
            "`longest`.",
        ),
        ({"bos": 100}, "`bos` must be an id in 0..99 or none, got 100."),
        ({"d_vocab": 2}, "Random sequences need at least 2 tokens beside `bos`, got a vocabulary of 2."),
    ],
)
def test_impossible_sequences_are_refused(fields, message):
    with raises_exactly(ValueError, message):
        RepeatedTokens(**({"d_vocab": 100} | fields))


@pytest.mark.usefixtures("unchecked")
def test_a_batch_refuses_periods_that_are_not_its_own():
    with raises_exactly(
        ValueError,
        "`tokens` needs two axes [prompt pos] and `periods` one number per prompt, got shapes (2, 5) and (3,).",
    ):
        TokenSequences(torch.zeros(2, 5, dtype=torch.long), torch.ones(3, dtype=torch.long))
    with raises_exactly(ValueError, "Periods must lie in 1..5, the positions of a sequence; got 6..6."):
        TokenSequences(torch.zeros(1, 5, dtype=torch.long), torch.tensor([6]))
