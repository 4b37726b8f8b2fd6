import json

import pytest
from torch.testing import assert_close

from interp.models import load_folder
from interp.models.folders import read_safetensors
from interp.models.zoo import FOLDER, ZooEntry, zoo_entries
from interp.training import checkpoint_steps, load_checkpoint, train
from interp.training.checkpoints import checkpoint_path
from interp.training.metrics import read_metrics
from interp.training.pack import pack
from tests.training.recipes import tiny_recipe


@pytest.fixture
def run(tmp_path):
    train(tiny_recipe(), tmp_path / "run", seed=3)
    return tmp_path / "run"


def test_a_packed_run_is_the_run_without_its_optimiser(run, tmp_path):
    index = tmp_path / "zoo" / "index.json"
    index.parent.mkdir()
    folder = pack(run, "mine", "What it shows.", index=index)
    assert checkpoint_steps(folder) == checkpoint_steps(run)
    for step in checkpoint_steps(run):
        assert_close(load_checkpoint(folder, step).W_Q, load_checkpoint(run, step).W_Q, atol=0, rtol=0)
        assert not any(key.startswith("optimizer.") for key in read_safetensors(checkpoint_path(folder, step)))
    assert_close(load_folder(folder).W_V, load_folder(run).W_V, atol=0, rtol=0)
    assert read_metrics(folder)[0] == read_metrics(run)[0]
    entry = ZooEntry(name="mine", **json.loads(index.read_text())["mine"])
    assert (entry.recipe, entry.seed, entry.shows) == (tiny_recipe().name, 3, "What it shows.")
    assert entry.n_parameters == sum(parameter.numel() for parameter in load_folder(run).parameters())


def test_packing_again_replaces_the_entry_and_keeps_the_others(run, tmp_path):
    index = tmp_path / "zoo" / "index.json"
    index.parent.mkdir()
    for name, shows in (("one", "first"), ("two", "second"), ("one", "third")):
        pack(run, name, shows, index=index)
    assert {name: entry["shows"] for name, entry in json.loads(index.read_text()).items()} == {
        "one": "third",
        "two": "second",
    }


def test_an_unfinished_run_is_refused(run, tmp_path):
    (run / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="unfinished"):
        pack(run, "mine", "", index=tmp_path / "index.json")


@pytest.mark.parametrize("name", zoo_entries())
def test_every_zoo_model_is_what_its_checksum_says_and_its_checkpoints_end_with_it(name):
    entry = zoo_entries()[name]
    entry.verify()
    assert entry.folder == FOLDER / name
    steps = checkpoint_steps(entry.folder)
    if steps:
        last, model = load_checkpoint(entry.folder, steps[-1]), load_folder(entry.folder)
        assert_close(dict(last.named_parameters()), dict(model.named_parameters()), atol=0, rtol=0)
