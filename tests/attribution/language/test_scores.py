"""Scores of heads whose attention is known, and of any heads against TransformerLens's detector."""

import weakref
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from transformer_lens.head_detector import detect_head
from transformer_lens.hook_points import HookPoint

from interp.attribution.language import SCORES, key_masks, score_language_heads
from interp.attribution.language import observe as observing
from interp.attribution.language.observe import observe
from interp.tasks import RepeatedTokens, TokenSequences
from tests.attribution.language.models import (
    DUPLICATE,
    FAMILIES,
    INDUCTION,
    N_POS,
    PREVIOUS,
    induction_circuit,
    native,
    sequences,
)
from tests.errors import raises_exactly

families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)


def repeated(n_sequences: int = 3, d_vocab: int = 50, period: int = 9) -> TokenSequences:
    task = RepeatedTokens(d_vocab=d_vocab, n_pos=1 + 2 * period, shortest=period, longest=period)
    return task.sample(n_sequences)


def row_of(table: pd.DataFrame, head: tuple[int, int], score: str) -> dict[Any, Any]:
    of_head = table[(table["layer"] == head[0] + 1) & (table["head"] == head[1])]
    (row,) = of_head[of_head["score"] == score].to_dict("records")
    return row


@pytest.fixture(scope="module")
def circuit_scores():
    return score_language_heads(induction_circuit(), sequences())


@pytest.mark.parametrize(
    ("head", "score"), [(PREVIOUS, "previous-token"), (DUPLICATE, "duplicate-token"), (INDUCTION, "induction")]
)
def test_a_built_head_scores_1_where_it_was_built_to_look(circuit_scores, head, score):
    row = row_of(circuit_scores, head, score)
    assert [row["value"], row["ci_low"], row["ci_high"]] == pytest.approx([1, 1, 1], abs=1e-12)


def test_other_heads_of_the_circuit_look_at_all_keys_alike(circuit_scores):
    built = [(layer + 1, head) for layer, head in (PREVIOUS, DUPLICATE, INDUCTION)]
    others = circuit_scores[~circuit_scores[["layer", "head"]].apply(tuple, axis=1).isin(built)]
    assert (others["value"] - others["chance"]).abs().max() < 1e-3


def test_chance_is_uniform_attention_counted_by_hand():
    table = score_language_heads(native(), repeated(n_sequences=2, period=3))
    # 7 positions, BOS and twice three tokens; the repeats are at positions 4, 5 and 6, each with one earlier copy.
    chance = table[table["layer"] == 1].groupby("score")["chance"].first()
    assert chance["previous-token"] == pytest.approx(sum(1 / n for n in range(2, 8)) / 6)
    assert chance["current-token"] == pytest.approx(sum(1 / n for n in range(1, 8)) / 7)
    assert chance["first-token"] == pytest.approx(chance["previous-token"])
    assert chance["duplicate-token"] == pytest.approx((1 / 5 + 1 / 6 + 1 / 7) / 3)
    assert chance["induction"] == pytest.approx(chance["duplicate-token"])


def with_pattern(bridge, pattern: Tensor):
    """The intervention that gives every head a pattern [prompt head query key]."""

    def intervene(batch: TokenSequences) -> AbstractContextManager[object]:
        names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(2)]
        return bridge.hooks(fwd_hooks=[(name, lambda _, hook: pattern) for name in names])

    return intervene


def test_scores_of_any_pattern_are_the_attention_on_the_keys_counted_one_by_one():
    bridge, batch = native(dtype=torch.float64), repeated(n_sequences=2, period=4)
    generator = torch.Generator().manual_seed(0)
    pattern = torch.rand(2, 4, batch.n_pos, batch.n_pos, generator=generator, dtype=torch.float64).tril()
    pattern /= pattern.sum(-1, keepdim=True)
    observed = observe(bridge, batch, with_pattern(bridge, pattern))
    masks = key_masks(batch.tokens)
    for prompt in range(2):
        for score in range(len(SCORES)):
            mask = masks[prompt, score]
            queries = [query for query in range(batch.n_pos) if mask[query].any()]
            for head in range(4):
                on_keys = [pattern[prompt, head, query][mask[query]].sum().item() for query in queries]
                assert observed.attention[prompt, 1, head, score] == pytest.approx(np.mean(on_keys), abs=1e-12)
                assert observed.shares[prompt, 1, head, score] == pytest.approx(sum(on_keys) / batch.n_pos, abs=1e-12)


@pytest.mark.parametrize("build", [*FAMILIES.values(), induction_circuit], ids=[*FAMILIES, "circuit"])
def test_shares_agree_with_transformer_lens(build):
    bridge = build()
    batch = sequences(2) if build is induction_circuit else repeated(2, period=8)
    table = score_language_heads(bridge, batch)
    names = {"previous-token": "previous_token_head", "duplicate-token": "duplicate_token_head"}
    for score, name in {**names, "induction": "induction_head"}.items():
        theirs = []
        for prompt in range(2):
            tokens = batch.tokens[prompt : prompt + 1]
            _, cache = bridge.run_with_cache(tokens, remove_batch_dim=True)
            # It takes text and a tokenizer, of which it wants nothing but the tokens.
            reader = SimpleNamespace(cfg=bridge.cfg, to_tokens=lambda text, tokens=tokens: tokens)
            theirs.append(detect_head(reader, "", name, cache=cache, error_measure="mul"))
        ours = table[table["score"] == score]["share"].to_numpy().reshape(bridge.cfg.n_layers, -1)
        assert np.abs(ours - torch.stack(theirs).double().mean(0).numpy()).max() < 1e-5


@families
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_and_scores_are_those_of_a_plain_pass(build, dtype):
    bridge, batch = build(dtype=dtype), repeated(2)
    observed = observe(bridge, batch)
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(batch.tokens)
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].mT, batch.tokens[:, 1:], reduction="none")
    assert np.abs(observed.losses - expected.double().numpy()).max() < 1e-5
    previous = cache["pattern", 1].diagonal(-1, dim1=-2, dim2=-1).double().mean(-1)
    assert np.abs(observed.attention[:, 1, :, SCORES.index("previous-token")] - previous.numpy()).max() < 1e-6


@families
def test_batches_change_nothing(build, monkeypatch):
    bridge, batch = build(), repeated(5)
    whole = observe(bridge, batch)
    sizes = []

    def counted(part: TokenSequences) -> AbstractContextManager[object]:
        sizes.append(len(part))
        return observing.untouched(part)

    monkeypatch.setattr(observing, "BYTES_AT_ONCE", 2 * 9 * batch.n_pos**2 * 8)  # two sequences' patterns
    parts = observe(bridge, batch, counted)
    assert sizes == [2, 2, 1]
    for name in ("losses", "attention", "shares", "uniform"):
        assert np.allclose(getattr(parts, name), getattr(whole, name), atol=1e-6)


def test_no_pattern_outlives_its_layer():
    """When a layer's pattern arises, the one before has been let go."""
    bridge = native(n_layers=4)
    alive: list[weakref.ref[Tensor]] = []

    def look(pattern: Tensor, hook: HookPoint) -> None:
        assert [reference() for reference in alive] == [None] * len(alive)
        alive.append(weakref.ref(pattern))

    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(4)]
    observe(bridge, repeated(), lambda batch: bridge.hooks(fwd_hooks=[(name, look) for name in names]))
    assert len(alive) == 4


def test_the_table_has_one_row_for_each_head_and_score():
    bridge = native(n_layers=3)
    table = score_language_heads(bridge, n_sequences=3, period=9)
    assert list(table.columns) == ["layer", "head", "score", "value", "ci_low", "ci_high", "chance", "share"]
    expected = [(layer, head, score) for layer in (1, 2, 3) for head in range(4) for score in SCORES]
    assert list(table[["layer", "head", "score"]].itertuples(index=False, name=None)) == expected
    assert (table["ci_low"] <= table["value"]).all()
    assert (table["value"] <= table["ci_high"]).all()


def test_a_kind_of_key_that_nowhere_occurs_has_no_score():
    tokens = torch.arange(16).reshape(2, 8)
    table = score_language_heads(native(), TokenSequences(tokens, torch.tensor([8, 8]))).set_index("score")
    assert table.loc[["induction", "duplicate-token"], ["value", "ci_low", "ci_high", "chance"]].isna().all(axis=None)
    assert (table.loc[["induction", "duplicate-token"], "share"] == 0).all()
    assert not table.loc[["previous-token"]].isna().any(axis=None)


def test_sequences_drawn_by_default_are_a_function_of_the_seed():
    bridge = native()
    first, again, other = (score_language_heads(bridge, n_sequences=3, period=9, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not np.isclose(first["value"], other["value"]).all()


# What cannot be scored


def test_a_single_token_is_refused():
    message = "Sequences need 2..64 tokens, the model's context, got 1; a single token predicts nothing."
    with raises_exactly(ValueError, message):
        score_language_heads(native(), TokenSequences(torch.tensor([[1], [2]]), torch.tensor([1, 1])))


def test_sequences_beyond_the_context_are_refused():
    message = f"Sequences need 2..24 tokens, the model's context, got {N_POS}; shorten them."
    with raises_exactly(ValueError, message):
        score_language_heads(native(n_ctx=24), sequences())


def test_tokens_beyond_the_vocabulary_are_refused():
    message = "Tokens must be ids in 0..9, got 0..49; encode them with the model's own tokenizer."
    batch = repeated(20)
    assert batch.tokens.max() == 49
    with raises_exactly(ValueError, message):
        score_language_heads(native(d_vocab=10), batch)


def test_one_sequence_is_refused():
    with raises_exactly(ValueError, "Intervals need at least 2 sequences, over which they are taken; got 1."):
        score_language_heads(native(), n_sequences=1, period=9)


def test_periods_beyond_the_context_are_refused():
    message = "Sequences of 100 tokens (twice 50) exceed the model's context of 64; lower `period` to 32 or less."
    with raises_exactly(ValueError, message):
        score_language_heads(native())


def test_half_precision_on_the_cpu_is_refused():
    message = (
        "TransformerLensNative is in float16 on the CPU; convert it by bridge.to(torch.float32), or move it to a GPU. "
        "interp.load converts by itself."
    )
    with raises_exactly(ValueError, message):
        score_language_heads(native(dtype=torch.float16), repeated())
