"""Cuts take away one thing and leave everything else bit for bit."""

import pytest
import torch
from torch.testing import assert_close

from interp.attribution.language import SCORES, attention_cut, heads_ablated, key_input_cut, key_masks
from interp.attribution.language.outputs import lost_without
from interp.tasks import RepeatedTokens
from tests.attribution.language.models import FAMILIES, INDUCTION, PREVIOUS, induction_circuit, llama, native, sequences
from tests.errors import raises_exactly

families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
TOKENS = RepeatedTokens(d_vocab=50, n_pos=19, shortest=9, longest=9).sample(3).tokens


def keys_and_more(bridge, names):
    with torch.no_grad():
        _, cache = bridge.run_with_cache(TOKENS)
    return [cache[f"blocks.1.attn.hook_{name}"] for name in names]


def key_head(bridge, head: int) -> int:
    return head // (bridge.cfg.n_heads // (bridge.cfg.n_key_value_heads or bridge.cfg.n_heads))


@families
@torch.no_grad()
def test_what_is_lost_without_heads_is_what_ablation_takes_from_the_stream(build):
    bridge = build(dtype=torch.float64)
    _, cache = bridge.run_with_cache(TOKENS)
    for means in (None, torch.randn(bridge.cfg.n_layers, TOKENS.shape[1], 4, 8, dtype=torch.float64)):
        with heads_ablated(bridge, [(1, 0), (1, 2)], means):
            _, ablated = bridge.run_with_cache(TOKENS)
        expected = cache["attn_out", 1] - ablated["attn_out", 1]
        assert_close(lost_without(bridge, 1, cache["z", 1], [0, 2], means), expected, atol=1e-6, rtol=1e-5)


@families
@torch.no_grad()
def test_a_receivers_keys_are_those_of_the_stream_without_the_sender(build):
    bridge = build(dtype=torch.float64)
    sender, receiver = (0, 1), (1, 2)
    _, cache = bridge.run_with_cache(TOKENS)
    with heads_ablated(bridge, [sender]):
        _, ablated = bridge.run_with_cache(TOKENS)
    stream = cache["resid_pre", 1] - (cache["attn_out", 0] - ablated["attn_out", 0])
    block = bridge.blocks[1]
    expected = block.attn.k.original_component(block.ln1.original_component(stream)).reshape(cache["k", 1].shape)
    with key_input_cut(bridge, [sender], [receiver]):
        (keys,) = keys_and_more(bridge, ["k"])
    own = key_head(bridge, receiver[1])
    assert_close(keys[:, :, own], expected[:, :, own], atol=1e-6, rtol=1e-5)
    assert not torch.isclose(keys[:, :, own], cache["k", 1][:, :, own]).all()


@families
def test_queries_values_and_other_key_heads_see_the_stream_as_it_is(build):
    bridge = build()
    before = keys_and_more(bridge, ["q", "v", "k"])
    with key_input_cut(bridge, [(0, 1)], [(1, 2)]):
        queries, values, keys = keys_and_more(bridge, ["q", "v", "k"])
    assert torch.equal(queries, before[0])
    assert torch.equal(values, before[1])
    others = [head for head in range(keys.shape[2]) if head != key_head(bridge, 2)]
    assert torch.equal(keys[:, :, others], before[2][:, :, others])


def test_heads_of_one_group_share_the_cut():
    bridge = llama()
    with torch.no_grad():
        _, before = bridge.run_with_cache(TOKENS)
        with key_input_cut(bridge, [(0, 0), (0, 3)], [(1, 2)]):
            _, cut = bridge.run_with_cache(TOKENS)
    changed = [not torch.equal(cut["pattern", 1][:, head], before["pattern", 1][:, head]) for head in range(4)]
    assert changed == [False, False, True, True]


@families
@torch.no_grad()
def test_a_sender_that_says_nothing_can_be_cut_without_a_trace(build):
    bridge = build()
    with heads_ablated(bridge, [(0, 1)]):
        expected = bridge(TOKENS)
        with key_input_cut(bridge, [(0, 1)], [(1, 0), (1, 3)]):
            assert torch.equal(bridge(TOKENS), expected)


@torch.no_grad()
def test_only_senders_in_earlier_layers_are_cut():
    bridge = native(n_layers=3)
    with key_input_cut(bridge, [(0, 1)], [(1, 0), (2, 0)]):
        expected = bridge(TOKENS)
    with key_input_cut(bridge, [(0, 1), (2, 3)], [(0, 2), (1, 0), (2, 0)]):
        assert torch.equal(bridge(TOKENS), expected)
        assert torch.equal(bridge(TOKENS), expected)  # nothing of the first pass is left over


@torch.no_grad()
def test_the_built_circuit_is_cut_at_the_induction_heads_keys():
    bridge, tokens = induction_circuit(faint=0), sequences().tokens
    with key_input_cut(bridge, [PREVIOUS], [INDUCTION]):
        _, cache = bridge.run_with_cache(tokens)
    # Nothing is left in its keys: it looks at all of them alike.
    uniform = torch.ones_like(cache["pattern", 1][0, 0]).tril()
    uniform /= uniform.sum(-1, keepdim=True)
    assert_close(cache["pattern", 1][:, INDUCTION[1]], uniform.expand(len(tokens), -1, -1))


@families
@torch.no_grad()
def test_hidden_keys_are_as_if_they_were_masked_before_the_softmax(build):
    bridge = build(dtype=torch.float64)
    keys = key_masks(TOKENS)[:, SCORES.index("previous-token")]
    _, cache = bridge.run_with_cache(TOKENS)
    expected = cache["pattern", 1].log().masked_fill(keys[:, None], -torch.inf).softmax(-1)
    with attention_cut(bridge, [(1, 0), (1, 2)], keys):
        _, cut = bridge.run_with_cache(TOKENS)
    for head in (0, 2):
        assert_close(cut["pattern", 1][:, head], expected[:, head])
        assert not cut["pattern", 1][:, head][keys].any()
    for head in (1, 3):
        assert torch.equal(cut["pattern", 1][:, head], cache["pattern", 1][:, head])
    assert_close(cut["z", 1][:, :, 1], cache["z", 1][:, :, 1])
    assert not torch.isclose(cut["z", 1][:, :, 0], cache["z", 1][:, :, 0]).all()


@torch.no_grad()
def test_a_query_that_sees_nothing_else_attends_to_nothing():
    bridge = native()
    keys = key_masks(TOKENS)[:, SCORES.index("current-token")]
    with attention_cut(bridge, [(0, 0)], keys):
        _, cut = bridge.run_with_cache(TOKENS)
    assert (cut["pattern", 0][:, 0, 0] == 0).all()
    assert_close(cut["pattern", 0][:, 0, 1:].sum(-1), torch.ones(3, TOKENS.shape[1] - 1))


@torch.no_grad()
def test_afterwards_the_model_is_what_it_was():
    bridge = native()
    before = bridge(TOKENS)
    with key_input_cut(bridge, [(0, 0)], [(1, 0)]), attention_cut(bridge, [(0, 0)], key_masks(TOKENS)[:, 0]):
        assert not torch.equal(bridge(TOKENS), before)
    assert torch.equal(bridge(TOKENS), before)


def test_heads_that_the_model_lacks_are_refused():
    message = "There is no head 4 in block 1: the model has 2 block(s), counted from 0, with 4 head(s) each."
    with raises_exactly(ValueError, message), key_input_cut(native(), [(0, 0)], [(1, 4)]):
        pass
    with raises_exactly(ValueError, message), attention_cut(native(), [(1, 4)], key_masks(TOKENS)[:, 0]):
        pass
