import torch
from hypothesis import given
from hypothesis import strategies as st

from interp._seeds import derive_seed, make_generator

WORDS = st.lists(st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=5)), min_size=1, max_size=3)


@given(WORDS, WORDS)
def test_streams_are_the_same_exactly_for_the_same_words(first, second):
    assert (derive_seed(*first) == derive_seed(*second)) == (first == second)


def test_a_seed_is_the_same_on_every_machine_and_in_every_process():
    assert derive_seed(0, "inputs") == 4440564565795046467
    assert 0 <= derive_seed("anything") < 2**63


def test_neighbouring_streams_are_uncorrelated():
    draws = torch.stack([torch.randn(10_000, generator=make_generator(seed, "data", 7)) for seed in range(4)])
    correlations = torch.corrcoef(draws) - torch.eye(4)
    assert correlations.abs().max() < 5 / 10_000**0.5
