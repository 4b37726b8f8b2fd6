from dataclasses import replace

import pytest
import torch

from interp.tasks import LinearRegression, Prompts, TokenLayout
from tests.errors import raises_exactly

PROMPTS = LinearRegression(dim=3, n_points=4).sample(2)
LAYOUTS = [
    TokenLayout(kind="paired", y_position="first"),
    TokenLayout(kind="paired", y_position="last"),
    TokenLayout(kind="interleaved", y_position="first", y_slot="own"),
    TokenLayout(kind="interleaved", y_position="last", y_slot="own"),
    TokenLayout(kind="interleaved", y_position="first", y_slot="shared"),
    TokenLayout(kind="interleaved", y_position="last", y_slot="shared"),
]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda x: f"{x.kind}-{x.y_position}-{x.y_slot}")


def expected_tokens(layout: TokenLayout, xs: torch.Tensor, ys: torch.Tensor) -> list[list[float]]:
    """One prompt laid out by hand: lists of numbers, token by token."""
    tokens = []
    for t, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
        is_query = t == len(xs) - 1
        zeros = [0.0] * len(x)
        if layout.kind == "paired":
            shown = 0.0 if is_query else y
            tokens.append([shown, *x] if layout.y_position == "first" else [*x, shown])
            continue
        if layout.y_slot == "own":
            tokens.append([0.0, *x] if layout.y_position == "first" else [*x, 0.0])
            y_token = [y, *zeros] if layout.y_position == "first" else [*zeros, y]
        else:
            tokens.append(x)
            y_token = [y, *zeros[1:]] if layout.y_position == "first" else [*zeros[1:], y]
        if not is_query:
            tokens.append(y_token)
    return tokens


@every_layout
def test_every_number_stands_at_its_coordinate(layout):
    tokens = layout.tokens(PROMPTS)
    for row, xs, ys in zip(tokens.tolist(), PROMPTS.xs, PROMPTS.ys, strict=True):
        assert row == expected_tokens(layout, xs, ys)


@every_layout
def test_the_sizes_it_states_are_those_of_its_tokens(layout):
    tokens = layout.tokens(PROMPTS)
    assert tokens.shape == (2, layout.n_tokens(4), layout.d_token(3))


@every_layout
def test_x_positions_and_y_index_point_at_the_numbers(layout):
    tokens = layout.tokens(PROMPTS)
    at_x = tokens[:, layout.x_positions(4)]
    offset = 1 if layout.y_position == "first" and layout.y_slot == "own" else 0
    assert torch.equal(at_x[..., offset : offset + 3], PROMPTS.xs)
    gap = 0 if layout.kind == "paired" else 1
    at_y = tokens[:, [position + gap for position in layout.x_positions(4)[:-1]], layout.y_index(3)]
    assert torch.equal(at_y, PROMPTS.ys[:, :-1])


@every_layout
def test_the_querys_y_is_never_shown(layout):
    other = PROMPTS.ys.clone()
    other[:, -1] += 17.0
    assert torch.equal(layout.tokens(PROMPTS), layout.tokens(replace(PROMPTS, ys=other)))


@pytest.mark.parametrize("y_position", ["first", "last"])
def test_no_y_of_many_queries_is_shown(y_position):
    layout = TokenLayout(kind="paired", y_position=y_position)
    prompts = LinearRegression(dim=3, n_points=4).sample(2, n_queries=5)
    other = prompts.ys.clone()
    other[:, prompts.n_examples :] += 17.0
    tokens = layout.tokens(prompts)
    assert torch.equal(tokens, layout.tokens(replace(prompts, ys=other)))
    assert torch.equal(tokens[:, : prompts.n_examples, layout.y_index(3)], prompts.ys[:, : prompts.n_examples])


def test_laying_out_leaves_the_prompts_as_they_were():
    for layout in LAYOUTS:
        prompts = Prompts(xs=PROMPTS.xs.clone(), ys=PROMPTS.ys.clone())
        layout.tokens(prompts)
        assert torch.equal(prompts.xs, PROMPTS.xs)
        assert torch.equal(prompts.ys, PROMPTS.ys)


def test_a_paired_token_needs_a_slot_for_y():
    with raises_exactly(ValueError, "A paired token holds x and y at once, so y needs its own slot: use y_slot='own'."):
        TokenLayout(kind="paired", y_slot="shared")


def test_an_interleaved_prompt_asks_one_query():
    prompts = LinearRegression(dim=3, n_points=4).sample(2, n_queries=3)
    with raises_exactly(
        ValueError,
        "An interleaved prompt has one query at its end, got 3. "
        "Use prompts.one_query_each() to ask the others separately.",
    ):
        TokenLayout(kind="interleaved").tokens(prompts)
