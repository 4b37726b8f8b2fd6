from dataclasses import replace

import pytest
import torch

from interp.bench import BenchOptions
from interp.bench.ensemble import compare, weight_difference
from interp.training import get_recipe
from interp.training.stack import Stack

SMALL = replace(get_recipe("lsa-1layer"), batch_size=16, steps=5)


def test_seconds_are_of_one_update_of_all_seeds(monkeypatch):
    monkeypatch.setattr(Stack, "compile", lambda self: compiled.append(len(self)))
    compiled: list[int] = []
    found = compare(BenchOptions(repeats=2), SMALL, n_seeds=3, n_steps=4)
    assert [(row.unit, row.required_ratio) for row in found] == [
        ("update of 3 seeds", 3.0),
        ("update of 3 seeds, compiled", 3.0),
    ]
    assert compiled == [3]
    assert all(len(row.ours_runs) == len(row.reference_runs) == 2 for row in found)
    assert found[0].largest_difference < 1e-6


def test_an_ensemble_that_trains_other_runs_stops_the_comparison(monkeypatch):
    gradients = Stack.gradients

    def mixed(self, tokens, ys):
        return gradients(self, tokens.roll(1, 0), ys.roll(1, 0))

    monkeypatch.setattr(Stack, "gradients", mixed)
    with pytest.raises(ValueError, match="The weights of seeds trained together and alone disagree"):
        weight_difference(SMALL, [0, 1], torch.device("cpu"))
