"""Where heads look: models whose weights make them look at one place, patterns written down, and uniform attention."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch

from interp.attribution import SCORES, heads, score_heads
from interp.models import RegressionTransformer, TransformerConfig
from interp.models.config import Attention
from interp.tasks import LinearRegression
from tests.models.tiny import INTERLEAVED, tiny_model

N_POS = 6
TARGETS: dict[str, Callable[[int], int]] = {
    "previous": lambda pos: pos - 1,
    "current": lambda pos: pos,
    "next": lambda pos: pos + 1,
    "first": lambda pos: 0,
}
"""The key position that a head of each kind looks at."""


def looking_at(score: str, attention: Attention, *, sign: float = 1.0, causal: bool = False) -> RegressionTransformer:
    """A one-layer model whose two heads look, by one-hot positions alone, where ``score`` says."""
    cfg = TransformerConfig(
        dim=2,
        n_heads=2,
        head_width=N_POS,
        attention=attention,
        causal=causal,
        query_in_context=True,
        positions="learned",
        position_mode="concatenate",
        n_ctx=N_POS,
        d_pos=N_POS,
    )
    model = RegressionTransformer(cfg, LinearRegression(dim=2, n_points=N_POS), seed=1)
    attn = model.blocks[0].attn
    with torch.no_grad():
        model.W_pos.copy_(torch.eye(N_POS))
        for weight in (attn.W_Q, attn.W_K):
            weight.zero_()
        for head in range(2):
            attn.W_K[head, -N_POS:] = torch.eye(N_POS)
            for pos in range(N_POS):
                if 0 <= (target := TARGETS[score](pos)) < N_POS:
                    # A softmax of scores 1000 / sqrt(6) above the others' is exactly one-hot in single precision.
                    attn.W_Q[head, -N_POS + pos, target] = 1000.0 * sign
    return model


def with_pattern(model: RegressionTransformer, pattern: torch.Tensor) -> Any:
    """The model for as long as the context lasts, every head's pattern replaced by ``pattern`` [query key]."""
    return model.hooks(
        fwd_hooks=[(lambda name: name.endswith("hook_pattern"), lambda old, hook: pattern.to(old).expand_as(old))]
    )


def values(table: pd.DataFrame, column: str = "value") -> dict[Any, dict[str, float]]:
    """By (layer, head), what each score is."""
    return {
        head: dict(zip(rows["score"], rows[column], strict=True)) for head, rows in table.groupby(["layer", "head"])
    }


@pytest.mark.parametrize("attention", ["softmax", "linear", "relu"])
@pytest.mark.parametrize("score", SCORES)
def test_a_head_that_looks_at_one_place_alone_scores_1_there(score, attention):
    model = looking_at(score, attention)
    found = values(score_heads(model, model.task.sample(4)))
    assert {head: scores[score] for head, scores in found.items()} == {(1, 0): 1.0, (1, 1): 1.0}


@pytest.mark.parametrize("score", SCORES)
def test_a_linear_head_that_looks_away_scores_as_one_that_looks(score):
    towards, away = (
        values(score_heads(model, model.task.sample(4)))
        for model in (looking_at(score, "linear"), looking_at(score, "linear", sign=-1.0))
    )
    assert away == towards


def test_each_place_is_scored_over_the_positions_that_have_it():
    model = looking_at("previous", "linear")
    found = values(score_heads(model, model.task.sample(4)))[1, 0]
    # Position 0 has no previous token and, in a linear head, attends to nothing: it is left out everywhere. Of the five
    # others, all look at the previous token, and one of those is the first.
    assert found == {"previous": 1.0, "current": 0.0, "next": 0.0, "first": pytest.approx(1 / 5)}


def test_shares_are_of_absolute_attention_and_of_the_row():
    model = tiny_model(n_layers=1, n_points=3)
    pattern = torch.tensor([[2.0, 0.0, -2.0], [1.0, -3.0, 0.0], [1.0, -5.0, 2.0]])
    with with_pattern(model, pattern):
        found = values(score_heads(model, model.task.sample(2)))[1, 0]
    assert found["previous"] == pytest.approx((1 / 4 + 5 / 8) / 2)
    assert found["current"] == pytest.approx((2 / 4 + 3 / 4 + 2 / 8) / 3)
    assert found["next"] == pytest.approx((0 + 0) / 2)
    assert found["first"] == pytest.approx((1 / 4 + 1 / 8) / 2)


def test_rows_without_any_attention_are_left_out():
    model = tiny_model(n_layers=1, n_points=3)
    pattern = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    with with_pattern(model, pattern):
        found = values(score_heads(model, model.task.sample(2)))[1, 0]
    assert (found["previous"], found["current"], found["first"]) == (1.0, 0.5, 0.0)


def test_a_head_without_any_attention_scores_0():
    model = tiny_model(n_layers=1)
    with with_pattern(model, torch.zeros(6, 6)):
        table = score_heads(model, model.task.sample(2))
    assert (table[["value", "ci_low", "ci_high", "chance"]] == 0).all(axis=None)


def test_heads_and_layers_are_scored_one_by_one():
    model = tiny_model(query_in_context=True)
    eye = torch.eye(6)

    def look(pattern, hook):
        patched = pattern.clone()
        patched[:, 1] = eye
        return patched

    prompts = model.task.sample(3)
    before = values(score_heads(model, prompts))
    with model.hooks(fwd_hooks=[("blocks.1.attn.hook_pattern", look)]):
        after = values(score_heads(model, prompts))
    assert after.pop((2, 1))["current"] == 1.0
    assert list(after) == [(1, 0), (1, 1), (2, 0)]
    assert after == {head: before[head] for head in after}


def test_chance_under_a_causal_mask_is_the_mean_of_one_over_the_tokens_so_far():
    model = tiny_model(attention="softmax", causal=True, query_in_context=True)
    chance = values(score_heads(model, model.task.sample(4)), "chance")[1, 0]
    so_far = 1 / torch.arange(1.0, 7.0, dtype=torch.float64)
    assert chance["current"] == pytest.approx(so_far.mean().item())
    assert chance["previous"] == chance["first"] == pytest.approx(so_far[1:].mean().item())
    assert chance["next"] == 0


def test_chance_without_a_mask_is_one_over_the_tokens_in_sight():
    model = tiny_model(attention="softmax", query_in_context=True)
    chance = values(score_heads(model, model.task.sample(4)), "chance")[1, 0]
    assert chance == pytest.approx(dict.fromkeys(SCORES, 1 / 6))


def test_chance_counts_a_query_outside_the_context_as_out_of_sight():
    model = tiny_model(attention="softmax")
    chance = values(score_heads(model, model.task.sample(4)), "chance")[1, 0]
    # 5 examples in sight of 6 positions: the query does not see itself, nor does the last example see its next token.
    assert chance == pytest.approx({"previous": 1 / 5, "current": 1 / 6, "next": 4 / 25, "first": 1 / 5})


@pytest.mark.parametrize("options", [{"causal": True, "layout": INTERLEAVED}, {"query_in_context": True}, {}])
def test_uniform_attention_scores_chance_everywhere_without_spread(options):
    model = tiny_model(attention="softmax", **options)
    for block in model.blocks:
        block.attn.W_Q.data.zero_()  # all scores equal
    table = score_heads(model, model.task.sample(4))
    for column in ("value", "ci_low", "ci_high"):
        assert table[column].tolist() == pytest.approx(table["chance"].tolist())


def test_scores_do_not_disturb_the_model():
    model = tiny_model(attention="softmax")
    prompts = model.task.sample(4)
    before = model(model.tokens(prompts))
    score_heads(model, prompts)
    assert torch.equal(model(model.tokens(prompts)), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_prompts_are_scored_alike_however_many_are_held_at_a_time(monkeypatch):
    model = tiny_model(attention="softmax")
    prompts = model.task.sample(7)
    expected = score_heads(model, prompts)
    monkeypatch.setattr(heads, "PROMPTS_AT_ONCE", 3)
    pd.testing.assert_frame_equal(score_heads(model, prompts), expected)
