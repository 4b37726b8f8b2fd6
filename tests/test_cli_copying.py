"""``interp heads`` of models of in-context regression: who copies, where there is anybody to copy from."""

import json

import pandas as pd
import pytest

import interp
from interp import cli
from interp.attribution import copying_heads

SHARED = ["scores", "ablation"]
OF_COPYING = ["copying", "copying_scores", "attention_by_offset", "written"]


@pytest.fixture
def heads(capsys, monkeypatch, tmp_path):
    """Run the command; returns what it showed, and the tables it wrote."""
    monkeypatch.chdir(tmp_path)

    def heads(model: str, n_prompts: int = 32) -> tuple[str, dict[str, pd.DataFrame]]:
        options = ["--n-prompts", str(n_prompts), "--draws", "2", "--json", "heads.json", "--force"]
        assert cli.main(["heads", model, *options]) == 0
        written = json.loads((tmp_path / "heads.json").read_text())
        return capsys.readouterr().out, {name: pd.DataFrame(rows) for name, rows in written.items()}

    return heads


def test_copying_heads_are_labelled_with_their_evidence(heads):
    shown, tables = heads("copy:dim=3,points=6")
    assert list(tables) == SHARED + OF_COPYING
    model = interp.load("copy:dim=3,points=6")
    expected = copying_heads(model, model.task.sample(32))
    found = tables["copying"]
    assert found["label"].tolist() == expected["label"].tolist() == ["copy", "none of these"]
    assert found["way"].tolist() == ["x reads its y", ""]
    assert found["restored_low"][0] == pytest.approx(expected["restored_low"][0])
    for said in ("Copying of neighbouring tokens", "x reads its y", "none of these", "What copying heads write"):
        assert said in shown


def test_heads_that_do_not_copy_are_said_not_to(heads):
    shown, tables = heads("untrained:copy:dim=3,points=6")
    assert set(tables["copying"]["label"]) == {"none of these"}
    assert "Copying of neighbouring tokens" in shown
    assert "What copying heads write" not in shown


@pytest.mark.parametrize(("model", "n_prompts"), [("gd", 32), ("copy:points=3", 32), ("copy:points=6", 7)])
def test_there_is_nothing_on_copying_without_neighbours_or_with_too_little_to_tell(heads, model, n_prompts):
    shown, tables = heads(model, n_prompts)
    assert list(tables) == SHARED
    assert "Copying" not in shown
