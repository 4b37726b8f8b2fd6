"""Every figure from end to end, on models trained for a moment: complete, and supporting nothing about alignment."""

from dataclasses import replace

import pytest

from interp.models.zoo import ZooEntry
from interp.reproduce import FIGURES, Lab, reproduce
from interp.training import RECIPES, train

COLUMNS = ["panel", "series", "seed", "x", "y"]
SLOW = {"oswald-depth", "oswald-softmax"}


@pytest.fixture(scope="module")
def briefly(tmp_path_factory):
    """Recipes of three updates on eight prompts, no zoo, and evaluation on 64 prompts."""
    patch = pytest.MonkeyPatch()
    for name, recipe in list(RECIPES.items()):
        patch.setitem(RECIPES, name, replace(recipe, steps=3, batch_size=8))
    patch.setattr("interp.reproduce.lab.zoo_entries", dict)
    patch.setattr(Lab, "n_prompts", property(lambda lab: 64))
    yield tmp_path_factory.mktemp("runs")
    patch.undo()


@pytest.fixture(scope="module")
def shipped(briefly):
    """Models of five layers in place of the zoo's, which quick labs take."""
    patch = pytest.MonkeyPatch()
    entries = {}
    for seed, name in enumerate(("lsa-5layer", "lsa-5layer-seed1", "lsa-5layer-seed2")):
        folder = briefly / "zoo" / name
        train(RECIPES["lsa-5layer"], folder, seed=seed)
        entries[name] = _Entry(folder, seed)
    patch.setattr("interp.reproduce.lab.zoo_entries", lambda: entries)
    yield
    patch.undo()


class _Entry(ZooEntry):
    """A zoo entry that lies elsewhere."""

    def __init__(self, folder, seed):
        super().__init__(name=folder.name, shows="", recipe="lsa-5layer", seed=seed, n_parameters=0, sha256="")
        object.__setattr__(self, "_folder", folder)

    @property
    def folder(self):
        return self._folder


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_complete_and_models_trained_for_a_moment_align_with_nothing(name, briefly, shipped):
    result = reproduce(name, Lab(quick=True, seeds=2, folder=briefly, jobs=1))
    assert result.name == name
    assert list(result.table.columns[:5]) == COLUMNS
    assert result.table["y"].notna().all()
    assert {ax.get_title() for ax in result.drawing.axes} >= set(result.table["panel"])
    assert all(run["checksum"] for run in result.runs)
    assert len({finding.id for finding in result.findings}) == len(result.findings) > 0
    assert all(finding.id.startswith(f"{name}.") for finding in result.findings)
    for finding in result.findings:
        if finding.statistic in ("cosine_of_sensitivities", "loss_relative_to_best_gd", "loss_relative_to_gd++"):
            low_is_claimed = "below" in finding.claim or "fallen" in finding.claim
            assert finding.verdict != "supported" or low_is_claimed, finding.claim


def test_an_unknown_figure_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'oswald-fig3'"):
        reproduce("oswald-fgi3")


def test_one_seed_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        Lab(seeds=1)
