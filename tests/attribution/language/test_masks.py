"""Which key is of which kind, against TransformerLens's detection patterns and against sequences marked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformer_lens import head_detector

from interp.attribution.language import SCORES, key_masks

PEERS = {
    "previous-token": head_detector.get_previous_token_head_detection_pattern,
    "duplicate-token": head_detector.get_duplicate_token_head_detection_pattern,
    "induction": head_detector.get_induction_head_detection_pattern,
}
texts = st.lists(st.integers(0, 3), min_size=1, max_size=9)


def mask_of(name: str, tokens: list[int]) -> torch.Tensor:
    return key_masks(torch.tensor([tokens]))[0, SCORES.index(name)]


@pytest.mark.parametrize("name", PEERS)
@given(tokens=texts)
def test_masks_are_the_detection_patterns_of_transformer_lens(name, tokens):
    assert torch.equal(mask_of(name, tokens).float(), PEERS[name](torch.tensor([tokens])).float())


@given(tokens=texts)
def test_no_query_has_a_key_after_it(tokens):
    assert not key_masks(torch.tensor([tokens])).triu(1).any()


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("previous-token", {(1, 0), (2, 1), (3, 2), (4, 3)}),
        ("duplicate-token", {(3, 1), (4, 2)}),
        ("induction", {(3, 2), (4, 3)}),
        ("current-token", {(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)}),
        ("first-token", {(1, 0), (2, 0), (3, 0), (4, 0)}),
    ],
)
def test_two_tokens_that_come_again_behind_bos(name, pairs):
    found = mask_of(name, [0, 7, 8, 7, 8]).nonzero().tolist()
    assert {(query, key) for query, key in found} == pairs


def test_sequences_of_a_batch_do_not_see_each_other():
    both = key_masks(torch.tensor([[1, 2, 1], [1, 1, 2]]))
    assert torch.equal(both[1:], key_masks(torch.tensor([[1, 1, 2]])))
