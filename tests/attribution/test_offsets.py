"""Attention by distance, for x and y tokens apart: known patterns, and what they are shares of."""

import numpy as np
import pytest
import torch

from interp.attribution import attention_by_offset
from interp.attribution.offsets import neighbour_attention
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.models.tiny import INTERLEAVED, tiny_model


def shares(model, layer=1, head=0, **options):
    """By (reader, offset), the share of one head's attention."""
    table = attention_by_offset(model, model.task.sample(4), **options)
    rows = table[(table["layer"] == layer) & (table["head"] == head)]
    return dict(zip(rows[["reader", "offset"]].itertuples(index=False, name=None), rows["value"], strict=True))


def test_both_kinds_of_token_of_the_construction_look_one_ahead():
    found = shares(x_reads_its_y(), furthest=2)
    assert found == {(reader, offset): float(offset == -1) for reader in "xy" for offset in range(-2, 3)}


def test_both_kinds_of_token_of_its_mirror_image_look_one_back():
    found = shares(y_reads_its_x(), furthest=2)
    assert {key for key, value in found.items() if value == 1.0} == {("x", 1), ("y", 1)}
    assert found["x", 0] == pytest.approx(1 / 5)  # the first of five has nobody before it


def test_x_and_y_tokens_are_kept_apart():
    """x tokens look at themselves, y tokens at the x before: a pattern written down."""
    model = tiny_model(layout=INTERLEAVED, attention="softmax", query_in_context=True, n_layers=1)
    n_pos = model.cfg.layout.n_tokens(model.task.n_points)
    pattern = torch.zeros(n_pos, n_pos, dtype=torch.float64)
    for position in range(n_pos):
        pattern[position, position - position % 2] = 1.0
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda old, hook: pattern.expand_as(old))]):
        found = shares(model)
        of_neighbours = neighbour_attention(model, model.task.sample(4))
    assert {key for key, value in found.items() if value == 1.0} == {("x", 0), ("y", 1)}
    assert sum(found.values()) == 2.0
    assert of_neighbours["y reads its x"].min() == 1.0
    assert all(of_neighbours[way].max() == 0.0 for way in of_neighbours if way != "y reads its x")


def test_attention_to_oneself_does_not_count_towards_the_neighbours_share():
    """Of a row 0.6 to itself, 0.3 to the next and 0.1 to the one after it, the next has three quarters of the rest."""
    model = tiny_model(layout=INTERLEAVED, attention="softmax", query_in_context=True, n_layers=1, n_points=5)
    pattern = 0.6 * torch.eye(9) + 0.3 * torch.eye(9).roll(1, 1) + 0.1 * torch.eye(9).roll(2, 1)
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda old, hook: pattern.to(old).expand_as(old))]):
        found = shares(model)
        of_neighbours = neighbour_attention(model, model.task.sample(4))
    assert (found["x", 0], found["x", -1], found["x", -2]) == pytest.approx((0.6, 0.3, 0.1))
    np.testing.assert_allclose(of_neighbours["x reads its y"], 0.75, rtol=1e-6)
    np.testing.assert_allclose(of_neighbours["y reads the next x"], 0.75, rtol=1e-6)


def test_negative_attention_of_linear_heads_counts_as_attention():
    model = tiny_model(layout=INTERLEAVED, n_layers=1, n_points=5)
    pattern = -torch.eye(9).roll(1, 1)
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda old, hook: pattern.to(old).expand_as(old))]):
        assert shares(model)["x", -1] == 1.0


def test_uniform_attention_gives_every_other_token_the_same_share():
    model = tiny_model(layout=INTERLEAVED, attention="softmax", query_in_context=True)
    for block in model.blocks:
        block.attn.W_Q.data.zero_()
    for values in neighbour_attention(model, model.task.sample(4)).values():
        np.testing.assert_allclose(values, 1 / 10)  # 11 tokens


def test_a_head_that_looks_at_nobody_else_has_no_share():
    model = tiny_model(layout=INTERLEAVED, n_layers=1, n_points=5)
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_pattern", lambda old, hook: torch.eye(9).to(old).expand_as(old))]):
        for values in neighbour_attention(model, model.task.sample(4)).values():
            assert (values == 0).all()
