import json

import pytest

from interp.cli import main
from interp.reproduce import FIGURES


def test_the_list_names_every_figure(capsys):
    assert main(["reproduce", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FIGURES)


@pytest.mark.parametrize("arguments", [[], ["oswald-fig22"]])
def test_a_figure_that_does_not_exist_is_bad_usage(arguments, capsys):
    assert main(["reproduce", *arguments]) == 2
    message = capsys.readouterr().err
    assert "known are fu-heatmaps" in message and "Traceback" not in message


def test_a_figure_from_the_command_line(briefly, tmp_path, capsys):
    out = tmp_path / "new"
    options = ["--quick", "--seeds", "2", "--jobs", "1", "--runs", str(briefly), "--out", str(out)]
    assert main(["reproduce", "oswald-fig2", *options]) == 0
    printed = capsys.readouterr().out
    content = json.loads((out / "oswald-fig2.json").read_text())
    for finding in content["findings"]:
        assert finding["id"] in printed and finding["claim"] in printed
    assert content["scale"] == {"quick": True, "seeds": 2, "prompts": 64}


def test_files_in_the_way_are_named_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "oswald-fig2.csv").write_text("mine")
    runs = tmp_path / "runs"
    assert main(["reproduce", "oswald-fig2", "--out", str(tmp_path), "--runs", str(runs)]) == 1
    assert "holds oswald-fig2.csv, which `interp reproduce` did not write" in capsys.readouterr().err
    assert not runs.exists()


def test_one_seed_is_refused(tmp_path, capsys):
    assert main(["reproduce", "oswald-fig2", "--seeds", "1", "--out", str(tmp_path)]) == 1
    assert "at least 2 seeds, got 1" in capsys.readouterr().err
