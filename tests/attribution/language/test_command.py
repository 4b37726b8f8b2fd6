"""``interp heads`` on language models: local folders, and what is refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from interp import cli
from interp.attribution.language import SCORES, score_language_heads
from interp.models.hugging_face import load_hugging_face
from interp.models.language import evaluation_sequences
from tests.models.language_folders import bert, gpt2, llama, write_folder

FEW = ("--n-sequences", "3", "--period", "9", "--draws", "2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("folders")
    return {
        "gpt2": write_folder(root / "gpt2", gpt2()),
        "llama": write_folder(root / "llama", llama()),
        "bert": write_folder(root / "bert", bert()),
    }.__getitem__


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_all_tables_are_written_and_scores_are_those_of_the_package(folders, name, tmp_path, capsys):
    out, tables = tmp_path / "scores.csv", tmp_path / "tables.json"
    assert cli.main(["heads", str(folders(name)), *FEW, "--out", str(out), "--json", str(tables)]) == 0
    written = json.loads(tables.read_text())
    assert set(written) == {
        *("scores", "labels", "copying", "repeats", "positions", "composition", "ablation", "edges", "untrained")
    }
    bridge = load_hugging_face(folders(name))
    expected = score_language_heads(bridge, evaluation_sequences(bridge, n_sequences=6, period=9)[:3])
    assert [row["value"] for row in written["scores"]] == pytest.approx(expected["value"].to_list(), abs=1e-9)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["score"] for row in rows] == expected["score"].to_list()
    shown = capsys.readouterr().out
    for title in ("Attention, by kind of key", *SCORES, "What each head is", "Loss in nats", "Copying by OV circuits"):
        assert title in shown
    assert "Cut edges" not in shown
    assert shown.endswith("No head bears a label: there is nothing to ablate.\n")


def test_effects_can_be_left_out(folders, tmp_path, capsys):
    tables = tmp_path / "tables.json"
    assert cli.main(["heads", str(folders("gpt2")), *FEW, "--no-effects", "--json", str(tables)]) == 0
    assert not {"ablation", "edges"} & set(json.loads(tables.read_text()))


def fails(capsys, *arguments: str) -> str:
    assert cli.main(["heads", *arguments]) == cli.FAILED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_sequences_beyond_the_context_are_refused_in_one_line(folders, capsys):
    assert fails(capsys, str(folders("gpt2")), "--period", "64") == (
        "interp: Sequences of 129 tokens (BOS and twice 64) exceed the model's context of 128; lower `period` to 63 or "
        "less.\n"
    )


def test_encoders_are_refused_in_one_line(folders, capsys):
    assert str(folders("bert")) in fails(capsys, str(folders("bert")))
