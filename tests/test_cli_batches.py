"""``--batch-size``: it changes what is in memory, not what is found."""

import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from interp import cli

COMMANDS = {
    "match": ["gd:steps=1,dim=2", "--solvers", "gd:lr=0.1", "ridge:alpha=1", "--steps", "1", "2"],
    "probe": ["gd:steps=1,dim=2", "--targets", "next_y", "w_ols"],
}
FIRST = {"match": "match", "probe": "readouts"}


@pytest.mark.parametrize("command", COMMANDS)
def test_results_do_not_depend_on_the_batch_size(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    for name, size in (("whole.json", []), ("cut.json", ["--batch-size", "3"])):
        few = ["--n-prompts", "16", "--n-queries", "4", "--json", name]
        assert cli.main([command, *COMMANDS[command], *few, *size]) == 0
        found.append(pd.DataFrame(json.loads((tmp_path / name).read_text())[FIRST[command]]))
    whole, cut = found
    assert_frame_equal(cut, whole, rtol=1e-3, atol=1e-5)  # the model computes in single precision


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_holds_at_least_one_context(command, size, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([command, *COMMANDS[command], f"--batch-size={size}", "--json", "table.json"]) == 1
    message = f"`batch_size` must be at least 1 prompt, got {size}; leave it out for the default."
    assert capsys.readouterr() == ("", f"interp: {message}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_models_compute_in_the_precision_asked_for(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = {}
    for precision in ("fp32", "bf16"):
        options = ["--n-prompts", "16", "--n-queries", "4", "--json", f"{precision}.json", "--precision", precision]
        assert cli.main([command, *COMMANDS[command], *options]) == 0
        found[precision] = pd.DataFrame(json.loads((tmp_path / f"{precision}.json").read_text())[FIRST[command]])
    score = "similarity" if command == "match" else "nmse"
    gap = (found["bf16"][score] - found["fp32"][score]).abs().max()
    assert 0 < gap < 0.05
    capsys.readouterr()
    assert cli.main([command, *COMMANDS[command], "--precision", "tf32"]) == cli.BAD_USAGE
    assert capsys.readouterr().err == (
        "interp: Precision 'tf32' is a mode of CUDA's matrix units, and the device is 'cpu'; use fp32 or bf16 there.\n"
    )
