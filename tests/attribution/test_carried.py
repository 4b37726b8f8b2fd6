"""What a linear readout finds in a head's output: all, a known part, or nothing of the neighbour's content."""

import pytest
import torch

from interp.attribution import carried
from interp.attribution.carried import carried_contents
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.models.tiny import INTERLEAVED, tiny_model


@pytest.mark.parametrize(("make", "way"), [(x_reads_its_y, "x reads its y"), (y_reads_its_x, "y reads its x")])
def test_a_copying_head_carries_its_neighbours_content_whole_and_nobody_elses(make, way):
    model = make()
    found = carried_contents(model, model.task.sample(200))
    assert found[way, 0, 0].right.low > 1 - 1e-9
    assert found[way, 0, 0].wrong.high < 0.1
    for other in set(found) - {(way, 0, 0)}:
        if other[1] == 0:
            assert found[other].right.high < 0.1


def test_a_head_that_mixes_two_tokens_carries_half_of_each():
    """The mean of two independent draws of the same law explains half the variance of either."""
    model = tiny_model(layout=INTERLEAVED, n_layers=1, n_heads=1, n_points=6, dim=2, attention="softmax")
    prompts = model.task.sample(2048)
    contents = torch.randn(2048, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ys = contents[:, 1::2]
    prompts = type(prompts)(xs=prompts.xs, ys=torch.cat([ys, ys[:, :1]], 1).float())
    mixed = torch.zeros(2048, 11, 1, 3, dtype=torch.float64)
    mixed[:, 0:10:2, 0, 0] = (ys + ys.roll(1, 1)) / 2

    batches = iter(mixed.split(carried.PROMPTS_AT_ONCE))

    def speak(z, hook):
        return next(batches)

    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", speak)]):
        found = carried_contents(model, prompts)["x reads its y", 0, 0]
    assert found.right.estimate == pytest.approx(0.5, abs=0.05)
    assert found.right.low < 0.5 < found.right.high
    assert found.wrong.high < 0.05


def test_heads_are_scored_alike_however_many_prompts_are_held_at_a_time(monkeypatch):
    model = x_reads_its_y()
    prompts = model.task.sample(64)
    expected = carried_contents(model, prompts)
    monkeypatch.setattr(carried, "PROMPTS_AT_ONCE", 8)
    found = carried_contents(model, prompts)
    for case, scores in expected.items():
        assert found[case].right.estimate == pytest.approx(scores.right.estimate, abs=1e-9)
