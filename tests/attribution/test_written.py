"""OV circuits whose effect on y and x is written down."""

import math

import pytest
import torch

import interp
from interp.attribution import written_by_heads
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.models.tiny import FULL, INTERLEAVED, tiny_model


def effects(model, **options):
    """By (layer, content, then), (size, gain, cosine)."""
    table = written_by_heads(model, model.task.sample(4), **options)
    keys = zip(table["layer"], table["content"], table["then"], strict=True)
    return dict(zip(keys, table[["size", "gain", "cosine"]].itertuples(index=False, name=None), strict=True))


@pytest.mark.parametrize(("make", "copied"), [(x_reads_its_y, "y"), (y_reads_its_x, "x")])
def test_what_is_copied_comes_out_where_it_went_in_and_nothing_else_does(make, copied):
    found = effects(make())
    other = "x" if copied == "y" else "y"
    assert found[1, copied, ""] == pytest.approx((1, 1, 1))
    assert found[1, other, ""] == (0, 0, 0)


def test_the_path_through_the_gradient_step_turns_the_sign_and_scales_by_its_size():
    model = interp.load("copy:dim=3,points=9,lr=2")
    assert effects(model)[1, "y", "layer 2 head 0"] == pytest.approx((0.25, -0.25, -1))


def test_what_is_written_elsewhere_has_size_and_no_gain():
    model = x_reads_its_y()
    model.blocks[0].attn.W_O.data.zero_()
    model.blocks[0].attn.W_O.data[0, 0, -2:] = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert effects(model)[1, "y", ""] == pytest.approx((5, 0, 0))


def test_x_is_averaged_over_its_coordinates():
    model = y_reads_its_x(dim=2)
    model.blocks[0].attn.W_O.data[0, 0, 0] = -3.0
    size, gain, cosine = effects(model)[1, "x", ""]
    assert (size, gain, cosine) == pytest.approx((math.sqrt((9 + 1) / 2), -1, -1 / math.sqrt(5)))


def test_directions_are_those_of_the_read_in_whatever_its_scale():
    """With a linear read-in the content's direction is a row of W_E; the gain is that along the row."""
    model = tiny_model(**FULL | {"layout": INTERLEAVED, "n_layers": 1, "n_heads": 1, "head_width": 12})
    attn, direction = model.blocks[0].attn, model.W_E[0] / model.W_E[0].norm()  # y stands first
    attn.W_V.data[0] = torch.eye(12)
    attn.W_O.data[0] = 0.5 * torch.outer(direction, direction)
    assert effects(model)[1, "y", ""] == pytest.approx((0.5, 0.5, 1))


def test_only_the_heads_asked_for_are_described():
    model = tiny_model(layout=INTERLEAVED)
    table = written_by_heads(model, model.task.sample(4), heads=[(1, 1)])
    assert set(zip(table["layer"], table["head"], strict=True)) == {(1, 1)}
    assert set(table["then"]) == {"", "layer 2 head 0", "layer 2 head 1"}
