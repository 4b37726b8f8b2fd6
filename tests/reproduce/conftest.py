from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from interp.models.zoo import ZooEntry
from interp.reproduce import Lab
from interp.training import RECIPES, train

UNTRAINED = ("copy-2layer", "lsa-2layer", "lsa-2layer-looped", "lsa-3layer", "lsa-3layer-looped")
"""Recipes, beside those of Garg's models, that quick figures take as they find them."""


@pytest.fixture(scope="session")
def brief_zoo(tmp_path_factory):
    """Three models of five layers, trained for three updates, as zoo entries; quick labs take them as shipped."""
    folder = tmp_path_factory.mktemp("zoo")
    recipe = _brief("lsa-5layer")
    entries = {}
    for seed in range(3):
        train(recipe, folder / str(seed), seed=seed)
        entries[str(seed)] = _Entry(folder / str(seed), seed)
    return entries


@pytest.fixture(scope="session")
def brief_runs(tmp_path_factory):
    """Where the figures' tests keep their runs, so that figures share them; two of what quick figures do not train."""
    folder = tmp_path_factory.mktemp("runs")
    for name in RECIPES:
        if name.startswith("garg-tiny") or name in UNTRAINED:
            for seed in range(2):
                train(_brief(name), folder / f"{name}-seed{seed}", seed=seed)
    return folder


@pytest.fixture
def briefly(monkeypatch, brief_zoo, brief_runs):
    """Recipes of three updates on eight prompts, a zoo of such models alone, evaluation on 64 prompts, few depths, and
    short searches for hyperparameters and for steps of their own."""
    monkeypatch.setattr("interp.reproduce.oswald.depth.DEPTHS", (2, 3))
    monkeypatch.setattr("interp.reproduce.lab.MANY", 64)
    # by module: the name interp.solvers.tune is the function
    monkeypatch.setattr(import_module("interp.solvers.tune"), "FIRST", (1.0,))
    monkeypatch.setattr("interp.solvers.descend.DESCENTS", 1)
    for name, few in (("FINE", 5), ("REFINED", 1), ("EVALUATIONS", 1)):
        monkeypatch.setattr(import_module("interp.solvers.search"), name, few)
    for name in RECIPES:
        monkeypatch.setitem(RECIPES, name, _brief(name))
    monkeypatch.setattr("interp.reproduce.lab.zoo_entries", lambda: brief_zoo)
    monkeypatch.setattr("interp.reproduce.lab.TUNING", 64)
    monkeypatch.setattr(Lab, "n_prompts", property(lambda lab: 64))
    return brief_runs


def _brief(name):
    return replace(RECIPES[name], steps=3, batch_size=8, warmup=0)


class _Entry(ZooEntry):
    """A zoo entry that lies elsewhere."""

    def __init__(self, place: Path, seed: int) -> None:
        super().__init__(name=f"lsa-5layer-{seed}", shows="", recipe="lsa-5layer", seed=seed, n_parameters=0, sha256="")
        self.__dict__["place"] = place

    @property
    def folder(self) -> Path:
        return Path(self.__dict__["place"])
