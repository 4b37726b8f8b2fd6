"""Patching undoes what corruption did: all of it where the head is the only path, nothing where it is none."""

import pytest
import torch

from interp.attribution.neighbours import WAYS
from interp.attribution.restoration import restore_neighbours
from interp.attribution.swapping import swap_outputs
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.models.tiny import INTERLEAVED, tiny_model

COPIERS = pytest.mark.parametrize(
    ("make", "way"), [(x_reads_its_y, "x reads its y"), (y_reads_its_x, "y reads its x")], ids=["x", "y"]
)


@COPIERS
def test_the_head_that_copies_undoes_the_whole_damage_at_the_reader_and_none_elsewhere(make, way):
    model = make()
    found = restore_neighbours(model, model.task.sample(32), [(way, 0, 0)])[way, 0, 0]
    assert (found.at_reader.low, found.at_reader.high) == pytest.approx((1, 1))
    assert (found.elsewhere.low, found.elsewhere.high) == pytest.approx((0, 0))


def test_the_head_of_the_gradient_step_undoes_nothing():
    """It reads the copy at the x token, and is read at the query alone."""
    model = x_reads_its_y()
    found = restore_neighbours(model, model.task.sample(32), [("x reads its y", 1, 0)])["x reads its y", 1, 0]
    assert (found.at_reader.low, found.at_reader.high) == pytest.approx((0, 0))


def test_a_way_that_the_head_does_not_go_undoes_nothing():
    """The y tokens of the construction read the next x, which has no y to copy."""
    model = x_reads_its_y()
    case = ("y reads the next x", 0, 0)
    assert restore_neighbours(model, model.task.sample(32), [case])[case].at_reader.high == 0


def test_where_nothing_is_damaged_nothing_is_restored():
    model = x_reads_its_y()
    model.blocks[1].attn.W_O.data.zero_()
    case = ("x reads its y", 0, 0)
    found = restore_neighbours(model, model.task.sample(32), [case])[case]
    assert (found.at_reader.estimate, found.at_reader.low, found.at_reader.high) == (0, 0, 0)


def test_only_predictions_behind_both_tokens_count():
    """In a causal model a new x changes the prediction at that x, which no copy at its y could undo."""
    model = y_reads_its_x(points=5)
    prompts = model.task.sample(64)
    found = restore_neighbours(model, prompts, [("y reads its x", 0, 0)])
    assert found["y reads its x", 0, 0].at_reader.low == pytest.approx(1)


@COPIERS
def test_other_contents_cost_what_unrelated_answers_cost_and_another_rest_costs_nothing(make, way):
    model = make()
    prompts = model.task.sample(32)
    found = swap_outputs(model, prompts, [(way, 0, 0)])[way, 0, 0]
    assert (found.rest.low, found.rest.high) == pytest.approx((0, 0), abs=1e-12)
    assert found.content.low > 0
    # The other prompts' contents beside this one's tokens: what the corrupted prompt's own tokens would say.
    other = WAYS[way].contents(prompts).roll(-1, 0)
    readers = WAYS[way].readers(prompts.n_examples)
    place = model.cfg.y_index if way == "x reads its y" else model.cfg.x_slice

    def write(resid, hook):
        written = resid.clone()
        written[:, readers, place] = other[..., 0] if way == "x reads its y" else other
        return written

    answers = model.run_with_hooks(model.tokens(prompts), fwd_hooks=[("blocks.0.hook_resid_post", write)])
    targets = prompts.ys[:, list(model.predicted_points)].double()
    before, after = (0.5 * (given - targets).square().mean() for given in (model(model.tokens(prompts)), answers))
    assert found.content.estimate == pytest.approx((after - before).item())


@pytest.mark.parametrize("measure", [restore_neighbours, swap_outputs])
def test_interventions_leave_the_model_as_it_was(measure):
    model = tiny_model(layout=INTERLEAVED, attention="softmax", n_points=5)
    prompts = model.task.sample(8)
    before = model(model.tokens(prompts))
    measure(model, prompts, [(way, 0, 1) for way in WAYS])
    assert torch.equal(model(model.tokens(prompts)), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_readers_that_are_drawn_are_a_function_of_the_seed():
    model = tiny_model(layout=INTERLEAVED, attention="softmax", n_points=8)
    prompts, cases = model.task.sample(16), [("x reads its y", 0, 0)]
    first, again, other = (restore_neighbours(model, prompts, cases, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
