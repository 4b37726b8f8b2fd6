"""Run folders of every task of ours, and what is asked of the models in them."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import interp
from interp import cli
from interp.models.config import TransformerConfig
from interp.tasks import DecisionTrees, LinearRegression, ReluNetworks, TokenLayout
from interp.training import RECIPES, Recipe, train

TASKS: dict[str, Any] = {
    "sparse": LinearRegression(dim=3, n_points=7, inputs="gaussian", sparsity=1),
    "subspace": LinearRegression(dim=3, n_points=7, inputs="gaussian", subspace=2),
    "orthants": LinearRegression(dim=3, n_points=7, inputs="gaussian", orthants=True, query="example"),
    "networks": ReluNetworks(dim=3, n_points=7, hidden=5),
    "trees": DecisionTrees(dim=3, n_points=7, depth=2),
}


def recipe_of(task: Any) -> Recipe:
    """Two updates of a small transformer that predicts at every point."""
    model = TransformerConfig(
        dim=3,
        n_layers=2,
        n_heads=2,
        width=8,
        attention="softmax",
        causal=True,
        query_in_context=True,
        layout=TokenLayout(kind="interleaved", y_position="first", y_slot="shared"),
        read_in="linear",
        readout="linear",
    )
    return Recipe(name="tiny-task", model=model, task=task, steps=2, batch_size=8, log_every=1)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_a_run_folder_holds_the_task(tmp_path, task):
    model = train(recipe_of(task), tmp_path / "run", seed=1)
    back = interp.load(str(tmp_path / "run"))
    assert back.task == task
    tokens = back.tokens(task.sample(5))
    assert torch.equal(back(tokens), model(tokens))


def test_the_command_line_changes_a_field_of_the_recipes_own_task(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "tiny-task", recipe_of(TASKS["trees"]))
    folder = tmp_path / "run"
    assert cli.main(["train", "tiny-task", "--out", str(folder), "--task.depth", "3", "--steps", "1"]) == 0
    assert interp.load(str(folder)).task == replace(TASKS["trees"], depth=3)
    monkeypatch.setitem(RECIPES, "tiny-task", recipe_of(TASKS["networks"]))
    arguments = ["--task.hidden", "4", "--task.n-points", "6"]
    assert cli.main(["train", "tiny-task", "--out", str(folder), "--steps", "1", "--force", *arguments]) == 0
    assert interp.load(str(folder)).task == replace(TASKS["networks"], hidden=4, n_points=6)
