import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp._seeds import derive_seed, make_generator, parse_seeds
from tests.errors import raises_exactly

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


def test_seeds_are_read_as_numbers_and_ranges():
    assert parse_seeds("0-9") == list(range(10))
    assert parse_seeds(" 3 , 0-2,7") == [3, 0, 1, 2, 7]


@given(st.lists(st.integers(0, 50), min_size=1, unique=True))
def test_seeds_written_one_by_one_are_read_back(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,x", "Cannot read seeds '1,x'; expected numbers and ranges, such as 0-9 or 0,3,5-7."),
        ("-3", "Cannot read seeds '-3'; expected numbers and ranges, such as 0-9 or 0,3,5-7."),
        ("4-", "Cannot read seeds '4-'; expected numbers and ranges, such as 0-9 or 0,3,5-7."),
        ("5-3", "Seeds '5-3' go down; write 3-5."),
        ("0-3,2", "Seeds '0-3,2' name a seed twice; its two runs would share a folder."),
    ],
)
def test_other_seeds_are_refused(text, message):
    with raises_exactly(ValueError, message):
        parse_seeds(text)


@pytest.mark.gpu
def test_generators_are_of_the_default_device():
    with torch.device("cuda"):
        assert torch.rand(3, generator=make_generator(0, "x")).device.type == "cuda"
