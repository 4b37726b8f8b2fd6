import math

import pytest
import torch
from torch.testing import assert_close

from interp.models.positions import sinusoids
from interp.tasks import TokenLayout
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model


@pytest.mark.parametrize("width", [2, 5, 8])
def test_sinusoids_are_those_of_the_paper(width):
    table = sinusoids(7, width)
    for position in range(7):
        for channel in range(width):
            angle = position / 10000 ** (2 * (channel // 2) / width)
            expected = math.sin(angle) if channel % 2 == 0 else math.cos(angle)
            assert table[position, channel].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_added_positions_are_added_to_the_embedding(positions):
    model = tiny_model(positions=positions, n_ctx=9 if positions == "learned" else 0)
    tokens = model.tokens(model.task.sample(3))
    _, cache = model.run_with_cache(tokens)
    table = model.W_pos[:6] if positions == "learned" else sinusoids(6, 5).double()
    assert_close(cache["resid_pre", 0], tokens + table)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_concatenated_positions_stand_beside_the_token(positions):
    model = tiny_model(
        positions=positions, position_mode="concatenate", d_pos=4, n_ctx=9 if positions == "learned" else 0
    )
    tokens = model.tokens(model.task.sample(3))
    _, cache = model.run_with_cache(tokens)
    table = model.W_pos[:6] if positions == "learned" else sinusoids(6, 4).double()
    assert model.cfg.d_model == 5 + 4
    assert_close(cache["resid_pre", 0][..., :5], tokens)
    assert_close(cache["resid_pre", 0][..., 5:], table.expand(3, -1, -1))


def test_a_concatenated_position_stands_beside_a_linear_read_in_too():
    model = tiny_model(
        read_in="linear",
        readout="linear",
        width=12,
        positions="sinusoidal",
        position_mode="concatenate",
        d_pos=4,
    )
    tokens = model.tokens(model.task.sample(3))
    _, cache = model.run_with_cache(tokens)
    assert_close(cache["resid_pre", 0][..., :8], tokens @ model.W_E)
    assert_close(cache["resid_pre", 0][..., 8:], sinusoids(6, 4).double().expand(3, -1, -1))


def test_the_prediction_is_read_from_the_y_entry_wherever_positions_stand():
    for y_position in ("first", "last"):
        layout = TokenLayout(y_position=y_position)
        model = tiny_model(positions="sinusoidal", position_mode="concatenate", d_pos=4, layout=layout)
        predictions, cache = model.run_with_cache(model.tokens(model.task.sample(3)))
        y_entry = cache["resid_post", 1][:, -1, 0 if y_position == "first" else 4]
        assert_close(predictions[:, 0], -y_entry)


def test_order_matters_with_positions_and_not_without():
    for positions, matters in (("none", False), ("sinusoidal", True)):
        model = tiny_model(attention="softmax", positions=positions)
        tokens = model.tokens(model.task.sample(3))
        swapped = tokens[:, [2, 1, 0, 3, 4, 5]]
        assert torch.allclose(model(tokens), model(swapped), rtol=1e-10, atol=1e-12) is not matters


def test_more_tokens_than_learned_positions_are_refused():
    model = tiny_model(positions="learned", n_ctx=6)
    longer = tiny_model(n_points=8).task.sample(2)
    with raises_exactly(
        ValueError, "The model has 6 learned positions, the prompts have 8 tokens; use shorter prompts."
    ):
        model(model.tokens(longer))
