"""Neighbours are the tokens beside each other in the layout itself."""

import pytest
import torch

import interp
from interp.attribution.neighbours import WAYS, has_neighbours, require_neighbours, wrong_neighbours
from interp.tasks import LinearRegression, TokenLayout
from tests.attribution.copiers import x_reads_its_y
from tests.errors import raises_exactly
from tests.models.tiny import INTERLEAVED, tiny_model


@pytest.mark.parametrize("name", WAYS)
def test_what_a_reader_copies_is_what_the_token_beside_it_holds(name):
    way, prompts = WAYS[name], LinearRegression(dim=3, n_points=6).sample(4)
    tokens = TokenLayout(kind="interleaved").tokens(prompts).double()
    read = tokens[:, [reader - way.offset for reader in way.readers(prompts.n_examples)]]
    assert torch.equal(way.contents(prompts), read[..., 3:] if way.source == "y" else read[..., :3])


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("x reads its y", [0, 2, 4, 6]),
        ("y reads its x", [1, 3, 5, 7]),
        ("y reads the next x", [1, 3, 5]),
        ("x reads the y before", [2, 4, 6]),
    ],
)
def test_the_query_neither_reads_nor_is_read(name, readers):
    assert WAYS[name].readers(4) == readers


def test_wrong_neighbours_are_those_of_other_readers_in_the_same_prompt():
    for n_readers in range(2, 8):
        contents = torch.arange(3.0 * n_readers).reshape(3, n_readers, 1)
        wrong = wrong_neighbours(contents)
        assert not (wrong == contents).any()
        assert torch.equal(wrong.sort(dim=1).values, contents)


@pytest.mark.parametrize(("layout", "has"), [(INTERLEAVED, True), (TokenLayout(), False)])
def test_only_interleaved_tokens_have_neighbours(layout, has):
    model = tiny_model(layout=layout)
    assert has_neighbours(model, model.task.sample(2)) is has


def test_a_single_point_has_no_neighbour():
    model = tiny_model(layout=INTERLEAVED, query_in_context=True)
    assert not has_neighbours(model, LinearRegression(dim=4, n_points=1).sample(2))


def test_a_paired_layout_is_refused():
    model = interp.load("gd")
    message = (
        "The model reads x and y in one token (a paired layout), so that there is nothing to copy between neighbours; "
        "give one with an interleaved layout."
    )
    with raises_exactly(ValueError, message):
        require_neighbours(model, model.task.sample(2))


def test_prompts_too_short_for_wrong_neighbours_are_refused():
    model = x_reads_its_y(points=3)
    message = "Copying is told from chance by prompts of at least 3 examples, got 2; give longer prompts."
    with raises_exactly(ValueError, message):
        require_neighbours(model, model.task.sample(2))
