from dataclasses import replace

import pytest

from interp.models import zoo_entries
from interp.reproduce import Lab
from interp.reproduce.lab import model_of
from interp.training import Recipe, get_recipe


def watch_training(monkeypatch):
    """Train nothing, and say what would have been trained."""
    trained: list[tuple[Recipe, int]] = []

    def train_nothing(wanted, *_, **__):
        trained.extend(wanted)
        return []

    monkeypatch.setattr("interp.reproduce.lab.train_many", train_nothing)
    return trained


def test_a_zoo_model_is_the_run_of_its_recipe_and_seed(tmp_path, monkeypatch):
    lab = Lab(folder=tmp_path, jobs=1)
    trained = watch_training(monkeypatch)
    with pytest.raises(ValueError, match="Only 1 of 1 runs"):  # the others were not really trained
        lab.runs("lsa-2layer-looped", seeds=3)
    assert [seed for _, seed in trained] == [1, 2]
    assert lab.record[0]["folder"] == zoo_entries()["lsa-2layer-looped"].folder.name


def test_a_zoo_model_of_another_recipe_is_not(tmp_path, monkeypatch):
    trained = watch_training(monkeypatch)
    with pytest.raises(ValueError, match="Only 0 of 0 runs"):
        Lab(folder=tmp_path).runs(replace(get_recipe("lsa-2layer-looped"), lr=2e-3), seeds=2)
    assert [seed for _, seed in trained] == [0, 1]


def test_runs_are_found_again_and_noted_once(briefly):
    lab = Lab(folder=briefly, jobs=1)
    first = lab.runs("lsa-1layer-published", seeds=2)
    written = [(run.folder / "model.safetensors").stat().st_mtime_ns for run in first]
    assert lab.runs("lsa-1layer-published", seeds=2) == first
    assert [(run.folder / "model.safetensors").stat().st_mtime_ns for run in first] == written
    assert [(run["recipe"]["name"], run["seed"]) for run in lab.record] == [
        ("lsa-1layer-published", 0),
        ("lsa-1layer-published", 1),
    ]
    info = model_of(first[0]).info
    assert info is not None and lab.record[0]["checksum"] == info.checksum


def test_the_seeds_that_the_user_asks_for_go_before_the_figures_own(briefly):
    assert [run.seed for run in Lab(folder=briefly, jobs=1, seeds=3).runs("lsa-1layer-published", seeds=2)] == [0, 1, 2]


def test_a_run_that_diverges_is_noted_and_left_out(briefly):
    wild = replace(get_recipe("lsa-1layer-published"), name="wild", lr=1e18, steps=40, log_every=1, clip_norm=None)
    lab = Lab(folder=briefly, jobs=1)
    with pytest.raises(ValueError, match=r"Only 0 of 2 runs of 'wild' finished.*Training diverged"):
        lab.runs(wild, seeds=2)
    assert all("diverged" in run["failure"] for run in lab.record)


def test_evaluation_prompts_are_the_same_for_all_and_others_for_another_seed():
    task = get_recipe("lsa-1layer").task
    one, again, other = (Lab(quick=True, seed=seed).prompts(task) for seed in (0, 0, 1))
    assert (one.xs == again.xs).all() and not (one.xs == other.xs).any()


def quick_lab(folder, **options):
    return Lab(quick=True, folder=folder, **options)


def test_what_takes_long_to_train_is_found_in_the_folder_one_run_or_all(briefly, tmp_path):
    assert [run.seed for run in quick_lab(briefly).shipped_or_trained("garg-tiny")] == [0, 1]
    (tmp_path / "garg-tiny-seed1").symlink_to(briefly / "garg-tiny-seed1")
    lab = quick_lab(tmp_path)
    assert [run.seed for run in lab.shipped_or_trained("garg-tiny")] == [1]
    assert [run["folder"] for run in lab.record] == ["garg-tiny-seed1"]


def test_zoo_models_of_the_recipe_go_before_runs_of_the_same_seed(briefly, brief_zoo):
    found = quick_lab(briefly).shipped_or_trained("lsa-5layer")
    assert [run.folder for run in found] == [entry.folder for entry in brief_zoo.values()]


def test_none_or_fewer_than_asked_for_are_an_error_that_says_how_to_train_more(briefly, tmp_path):
    with pytest.raises(ValueError, match=r"hold 0 of 1 .* `interp train garg-tiny-noisy --seed 0 --out "):
        quick_lab(tmp_path).shipped_or_trained("garg-tiny-noisy")
    with pytest.raises(ValueError, match=r"hold 2 of 3 .* `interp train garg-tiny --seed 2 --out .*garg-tiny-seed2`"):
        quick_lab(briefly, seeds=3).shipped_or_trained("garg-tiny")


def test_an_unfinished_run_is_none_and_one_of_another_recipe_is_refused(briefly, tmp_path):
    (tmp_path / "garg-tiny-seed0").mkdir()
    with pytest.raises(ValueError, match="hold 0 of 1"):
        quick_lab(tmp_path).shipped_or_trained("garg-tiny")
    (tmp_path / "garg-tiny-seed1").symlink_to(briefly / "garg-tiny-noisy-seed1")
    with pytest.raises(ValueError, match="holds a run of another recipe, seed or precision"):
        quick_lab(tmp_path).shipped_or_trained("garg-tiny")


def test_at_full_scale_one_run_is_trained_unless_more_are_asked_for(briefly, tmp_path):
    (run,) = Lab(folder=briefly, jobs=1).shipped_or_trained("garg-tiny-width8")
    assert run.seed == 0
    assert [run.seed for run in Lab(folder=briefly, jobs=1, seeds=2).shipped_or_trained("garg-tiny-width8")] == [0, 1]
