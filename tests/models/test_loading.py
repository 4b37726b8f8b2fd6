"""From names to models. A zoo of one small model stands in for the one that ships."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch

import interp
from interp.models import CONSTRUCTIONS, save_folder, zoo
from interp.models.folders import describe_model, named_parameters
from interp.models.language import build_language_model
from interp.models.loading import load_language, load_regression
from interp.models.token_config import TokenModelConfig
from interp.tasks import RepeatedTokens
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model


@pytest.fixture(autouse=True)
def small_zoo(tmp_path, monkeypatch):
    folder = tmp_path / "zoo"
    model = tiny_model(seed=5).float()
    save_folder(folder / "lsa-tiny", model, recipe={"name": "lsa-tiny"}, seed=5)
    weights = (folder / "lsa-tiny" / "model.safetensors").read_bytes()
    entry = {
        "shows": "that names are looked up",
        "recipe": "lsa-tiny",
        "seed": 5,
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "index.json").write_text(json.dumps({"lsa-tiny": entry}))
    monkeypatch.setattr(zoo, "FOLDER", folder)
    monkeypatch.setattr(zoo, "INDEX", folder / "index.json")
    zoo.zoo_entries.cache_clear()
    yield folder
    zoo.zoo_entries.cache_clear()


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_zoo_model_is_loaded_by_name():
    model = interp.load("lsa-tiny")
    assert torch.equal(weights_of(model), weights_of(tiny_model(seed=5).float()))
    info = describe_model(model)
    assert (info.name, info.source, info.seed) == ("lsa-tiny", "zoo", 5)


def test_a_run_folder_is_loaded_by_path(tmp_path):
    model = tiny_model(seed=6).float()
    save_folder(tmp_path / "mine", model, seed=6)
    for path in (tmp_path / "mine", str(tmp_path / "mine")):
        back = interp.load(path)
        assert torch.equal(weights_of(back), weights_of(model))
        info = describe_model(back)
        assert (info.source, info.seed) == ("run", 6)


def test_a_zoo_name_wins_over_a_folder_and_a_dot_slash_over_the_zoo(tmp_path, monkeypatch):
    save_folder(tmp_path / "lsa-tiny", tiny_model(seed=9).float(), seed=9)
    monkeypatch.chdir(tmp_path)
    assert describe_model(interp.load("lsa-tiny")).seed == 5
    assert describe_model(interp.load("./lsa-tiny")).seed == 9


@pytest.mark.parametrize("name", ["lsa-tiny", "gd:steps=2,dim=3", "newton"])
def test_untrained_twins_differ_by_seed_and_equal_the_same_seed(name):
    first, again, other = (interp.load(f"untrained:{name},seed={seed}") for seed in (3, 3, 4))
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.isclose(weights_of(first), weights_of(other)).all()
    checksums = [describe_model(model).checksum for model in (first, again, other)]
    assert checksums[0] == checksums[1] != checksums[2]


@pytest.mark.parametrize("name", ["lsa-tiny", "gd:steps=2,dim=3", "newton"])
def test_an_untrained_twin_shares_the_architecture_and_not_the_weights(name):
    model, twin = interp.load(name), interp.load(f"untrained:{name},seed=3")
    assert (twin.cfg, twin.task) == (model.cfg, model.task)
    assert not torch.equal(weights_of(twin), weights_of(model))
    info = describe_model(twin)
    assert (info.source, info.seed) == ("untrained", 3)


def test_an_untrained_twin_has_seed_0_unless_said():
    assert torch.equal(weights_of(interp.load("untrained:newton")), weights_of(interp.load("untrained:newton,seed=0")))


def test_a_run_folder_has_untrained_twins_too(tmp_path):
    save_folder(tmp_path / "mine", tiny_model().float())
    twin = interp.load(f"untrained:{tmp_path / 'mine'},seed=2")
    assert torch.equal(weights_of(twin), weights_of(tiny_model().float().untrained_twin(2)))


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("lsa-tny", "lsa-tny", " Did you mean 'lsa-tiny'?"),
        ("newtonn", "newtonn", " Did you mean 'newton'?"),
        ("gdd:steps=2", "gdd", " Did you mean 'gd'?"),
        ("zzz", "zzz", ""),
        ("", "", ""),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(text, name, hint):
    known = ", ".join(sorted([*CONSTRUCTIONS, "lsa-tiny"]))
    with raises_exactly(ValueError, f"Unknown model {name!r}; known are {known}.{hint}"):
        interp.load(text)


def test_a_path_that_does_not_exist_is_named():
    with raises_exactly(
        FileNotFoundError,
        "no/such/run is not a folder; expected a run folder, or a Hugging Face folder on this machine (nothing is "
        "downloaded).",
    ):
        interp.load("no/such/run")


@pytest.mark.parametrize(
    "text", ["untrained:", "untrained:gd,seed=x", "untrained:gd,seed=1,seed=2", "untrained:gd,seed=-1"]
)
def test_a_twin_that_cannot_be_read_is_refused(text):
    with raises_exactly(ValueError, f"Cannot read {text!r}; expected 'untrained:NAME' or 'untrained:NAME,seed=3'."):
        interp.load(text)


def test_a_damaged_zoo_model_is_refused(small_zoo):
    path = small_zoo / "lsa-tiny" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    expected = zoo.zoo_entries()["lsa-tiny"].sha256[:12]
    with raises_exactly(
        ValueError,
        f"The zoo model 'lsa-tiny' is damaged: its weights have SHA-256 {hashlib.sha256(data).hexdigest()[:12]}..., "
        f"expected {expected}.... Install the package again.",
    ):
        interp.load("lsa-tiny")


def test_an_entry_states_the_size_of_its_weights(small_zoo):
    entry = zoo.zoo_entries()["lsa-tiny"]
    assert entry.n_bytes == (small_zoo / "lsa-tiny" / "model.safetensors").stat().st_size
    with pytest.raises(FileNotFoundError):
        replace(entry, name="gone").verify()


@pytest.fixture
def language_run(tmp_path):
    """A run folder of a language model."""
    cfg = TokenModelConfig(d_vocab=30, n_ctx=25, n_heads=2, d_model=12)
    task = RepeatedTokens(d_vocab=30, n_pos=25, shortest=3, longest=9)
    save_folder(tmp_path / "words", build_language_model(cfg, task, seed=6), seed=6)
    return tmp_path / "words"


def test_a_language_model_is_loaded_as_a_bridge_and_has_untrained_twins(language_run):
    bridge = interp.load(language_run)
    assert describe_model(bridge).source == "run"
    twins = [interp.load(f"untrained:{language_run},seed={seed}") for seed in (6, 3)]
    assert [describe_model(twin).seed for twin in twins] == [6, 3]
    weights = [named_parameters(model)["embed.weight"] for model in (bridge, *twins)]
    assert torch.equal(weights[0], weights[1])  # not trained any further than its twin
    assert not torch.equal(weights[0], weights[2])


def test_each_sort_of_model_has_a_loader_of_its_own(language_run):
    assert torch.equal(weights_of(load_regression("lsa-tiny")), weights_of(interp.load("lsa-tiny")))
    checksums = {describe_model(load(language_run)).checksum for load in (load_language, interp.load)}
    assert len(checksums) == 1


def test_a_loader_refuses_the_other_sort(language_run):
    for name in (language_run, f"untrained:{language_run}"):
        with raises_exactly(
            ValueError,
            f"{name} is a language model; this takes a model of in-context regression, such as 'lsa-1layer'. Study the "
            f"heads of a language model with: interp heads {name}",
        ):
            load_regression(name)
    for name in ("lsa-tiny", "untrained:newton", "gd:steps=2,dim=3"):
        with raises_exactly(
            ValueError,
            f"{name} is a model of in-context regression; this takes a language model, such as 'induction-2layer' or "
            "the folder of a causal Hugging Face model.",
        ):
            load_language(name)
