import math
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
            for name in ("width", "head_width", "mlp_width", "d_pos", "n_ctx", "read_in_width")
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
        ({"damping": 0.0}, "`damping` must lie in (0, 1], got 0.0."),
        ({"damping": 1.5}, "`damping` must lie in (0, 1], got 1.5."),
        ({"damping": math.nan}, "`damping` must lie in (0, 1], got nan."),
        ({"clamp": 0.0}, "`clamp` must be positive or none, got 0.0."),
        ({"clamp": -10.0}, "`clamp` must be positive or none, got -10.0."),
        ({"clamp": math.nan}, "`clamp` must be positive or none, got nan."),
        *(
            (
                {"read_in": "mlp", "width": 8, **options},
                "read_in='mlp' replaces the x of (x, y) tokens by features; use a paired layout and positions='none'.",
            )
            for options in ({"layout": TokenLayout(kind="interleaved")}, {"positions": "sinusoidal"})
        ),
        *(
            (
                {"read_in": "mlp", "width": width},
                f"read_in='mlp' needs `width` of at least 2 (features and y), got {width}.",
            )
            for width in (0, 1)
        ),
        ({"read_in_width": 8}, "`read_in_width` is 0 without read_in='mlp', got 8."),
        *(
            (
                {"descent_lr": 0.1, **options},
                "`descent_lr` writes Proposition 1 into the weights, which takes linear attention on (x, y) tokens, no "
                "linear read-in and no concatenated positions, and one head as wide as the stream.",
            )
            for options in (
                {"attention": "softmax"},
                {"layout": TokenLayout(kind="interleaved")},
                {"read_in": "linear", "readout": "linear", "width": 8},
                {"positions": "sinusoidal", "position_mode": "concatenate", "d_pos": 4},
                {"n_heads": 2, "head_width": 11},
                {"head_width": 10},
            )
        ),
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


@pytest.mark.parametrize(("y_position", "y_index", "x_slice"), [("first", 0, slice(1, 8)), ("last", 7, slice(0, 7))])
def test_features_take_all_of_the_stream_but_the_y_entry(y_position, y_index, x_slice):
    cfg = TransformerConfig(dim=3, read_in="mlp", width=8, layout=TokenLayout(y_position=y_position))
    assert (cfg.d_token, cfg.d_model) == (4, 8)
    assert (cfg.y_index, cfg.x_slice) == (y_index, x_slice)
