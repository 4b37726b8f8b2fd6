from dataclasses import replace

import pytest

from interp.models import TransformerConfig
from interp.models.config import Attention
from interp.tasks import TokenLayout
from tests.errors import raises_exactly


def test_sizes_given_as_0_are_derived():
    cfg = TransformerConfig(dim=7, n_heads=2, mlp="relu")
    assert (cfg.d_token, cfg.d_model, cfg.d_head, cfg.d_mlp) == (8, 8, 4, 32)
    assert replace(cfg, n_layers=3).d_model == 8  # a derived size may be given back


def test_positions_that_are_concatenated_widen_the_stream():
    cfg = TransformerConfig(dim=7, positions="sinusoidal", position_mode="concatenate", d_pos=10)
    assert (cfg.d_model, cfg.d_head) == (18, 18)


def test_one_kind_of_attention_stands_for_all_layers():
    assert TransformerConfig(n_layers=3, attention="relu").attention_kinds == ("relu",) * 3
    kinds: tuple[Attention, ...] = ("softmax", "linear")
    assert TransformerConfig(n_layers=2, attention=kinds).attention_kinds == kinds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "`dim` must be at least 1, got 0."),
        ({"n_layers": 0}, "`n_layers` must be at least 1, got 0."),
        ({"n_heads": -1}, "`n_heads` must be at least 1, got -1."),
        *(
            ({name: -2}, f"`{name}` must be at least 0, got -2.")
            for name in ("width", "head_width", "mlp_width", "d_pos", "n_ctx")
        ),
        (
            {"d_pos": 4},
            "`d_pos` is the width of concatenated positions and 0 without them, got 4 with positions='none', "
            "position_mode='add'.",
        ),
        (
            {"positions": "sinusoidal", "position_mode": "concatenate"},
            "`d_pos` is the width of concatenated positions and 0 without them, got 0 with positions='sinusoidal', "
            "position_mode='concatenate'.",
        ),
        (
            {"positions": "learned"},
            "`n_ctx` is the number of learned positions and 0 without them, got 0 with positions='learned'.",
        ),
        (
            {"n_ctx": 8},
            "`n_ctx` is the number of learned positions and 0 without them, got 8 with positions='none'.",
        ),
        (
            {"width": 64},
            "An identity read-in makes the stream 11 wide, got width=64; use read_in='linear'.",
        ),
        ({"read_in": "linear", "readout": "linear"}, "A linear read-in needs `width` above 0, got 0."),
        (
            {
                "read_in": "linear",
                "readout": "linear",
                "width": 4,
                "positions": "sinusoidal",
                "position_mode": "concatenate",
                "d_pos": 4,
            },
            "A linear read-in needs `width` above 4, got 4.",
        ),
        (
            {"read_in": "linear", "width": 16},
            "readout='negated_y' reads the token's y entry, which a linear read-in does not keep in place; "
            "use readout='linear'.",
        ),
        ({"n_heads": 2}, "A stream of width 11 does not divide into 2 heads; give `head_width`."),
        ({"mlp_width": 8}, "`mlp_width` is 0 without an MLP, got 8."),
        ({"attention": ("linear", "relu")}, "`attention` names 2 layers, the model has 1."),
        (
            {"attention": ("linear", "relu"), "n_layers": 2, "looped": True},
            "Looped layers are one layer: one kind of attention.",
        ),
        ({"init_variance": 0.0}, "`init_variance` must be positive, got 0.0."),
    ],
)
def test_sizes_and_options_that_contradict_each_other_are_refused(options, message):
    with raises_exactly(ValueError, message):
        TransformerConfig(**options)


def test_the_y_entry_is_where_the_layout_puts_it():
    assert TransformerConfig(dim=4, layout=TokenLayout(y_position="first")).y_index == 0
    assert TransformerConfig(dim=4, layout=TokenLayout(y_position="last")).y_index == 4
    shared = TokenLayout(kind="interleaved", y_slot="shared")
    assert TransformerConfig(dim=4, layout=shared).y_index == 3
