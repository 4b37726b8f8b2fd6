import pytest
import torch

from interp.attribution import token_dependencies
from interp.bench import BenchOptions
from interp.bench.dependency import Workload, compare, maps_by_backward_passes
from tests.models.tiny import FULL, tiny_model

SMALL = Workload(recipe="garg-tiny", n_prompts=1, sample=(3,))


def test_maps_by_backward_passes_are_ours():
    model = tiny_model(**FULL)
    prompts = model.task.sample(2, seed=1)
    maps = token_dependencies(model, prompts)
    rows = maps_by_backward_passes(model, prompts, (5, 2))
    torch.testing.assert_close(rows, maps[:, :, [5, 2]])


def test_the_sample_is_a_complete_row_of_every_layer_and_is_scaled_to_all():
    (comparison,) = compare(BenchOptions(repeats=1), SMALL)
    assert comparison.required_ratio == 10
    assert 0 < comparison.largest_difference < 1e-4
    assert "17856 in all, were measured on 576 and scaled" in comparison.note  # 9 layers, 31 positions, 64 coordinates


def test_other_maps_stop_the_comparison(monkeypatch):
    monkeypatch.setattr(
        "interp.bench.dependency.maps_by_backward_passes",
        lambda model, prompts, positions: 1.001 * token_dependencies(model, prompts)[:, :, list(positions)],
    )
    with pytest.raises(ValueError, match="Our dependency maps and those of backward passes disagree"):
        compare(BenchOptions(repeats=1), SMALL)
