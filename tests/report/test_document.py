"""Reports as files: whole or not there, never over anybody else's."""

import os

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError

from interp.report.document import table_records
from tests.errors import raises_exactly
from tests.report.made_up import finding, made_up_report
from tests.report.reading import read_json


@pytest.fixture
def places(tmp_path):
    return tmp_path / "report.html", tmp_path / "report.json"


def test_both_files_hold_the_report(places):
    html, json_path = places
    report = made_up_report(name="the model in question")
    report.write(html, json_path)
    assert "the model in question" in html.read_text()
    assert read_json(json_path) == report.to_record()
    assert sorted(places[0].parent.iterdir()) == [html, json_path]  # no scratch files


def test_paths_may_be_text_and_either_may_be_left_out(places):
    html, json_path = places
    made_up_report().write(json=str(json_path))
    assert json_path.is_file()
    assert not html.exists()
    made_up_report().write(str(html))
    assert html.is_file()


def test_numbers_that_do_not_exist_are_null_in_the_file(places):
    table = pd.DataFrame({"value": [np.nan, np.inf, 1.0], "count": [1, 2, 3], "said": ["a", "b", "c"]})
    report = made_up_report(
        findings=(finding(estimate=float("nan")),), tables={"numbers": table, "more numbers": table}
    )
    report.write(*places)
    record = read_json(places[1])
    assert record["findings"][0]["estimate"] is None
    assert record["tables"]["numbers"] == [
        {"value": None, "count": 1, "said": "a"},
        {"value": None, "count": 2, "said": "b"},
        {"value": 1.0, "count": 3, "said": "c"},
    ]


def test_numpy_numbers_are_written_as_numbers(places):
    details = {"count": np.int64(3), "share": np.float32(0.5), "flag": np.bool_(True)}
    made_up_report(findings=(finding(details=details),)).write(json=places[1])
    assert read_json(places[1])["findings"][0]["details"] == {"count": 3, "share": 0.5, "flag": True}


def test_a_table_becomes_rows():
    table = pd.DataFrame({"layer": [0, 1], "r2": [0.5, float("nan")]}, index=[7, 3])
    assert table_records(table) == [{"layer": 0, "r2": 0.5}, {"layer": 1, "r2": None}]


def test_a_report_replaces_an_earlier_one(places):
    made_up_report(name="the first").write(*places)
    made_up_report(name="the second").write(*places)
    assert "the second" in places[0].read_text()
    assert "the first" not in places[0].read_text()
    assert read_json(places[1])["model"]["name"] == "the second"


@pytest.mark.parametrize(
    "content", ["", "years of work", "Made with interp report, by me.", '{"about": "interp-report/1"}']
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_of_somebody_elses_is_refused_and_nothing_is_written(places, content, which):
    places[which].write_text(content)
    message = f"{places[which]} exists already. Give another path, or --force to replace it."
    with raises_exactly(FileExistsError, message):
        made_up_report().write(*places)
    assert places[which].read_text() == content
    assert not places[1 - which].exists()


def test_force_replaces_any_file(places):
    for place in places:
        place.write_text("years of work")
    made_up_report(name="the model").write(*places, force=True)
    assert "the model" in places[0].read_text()
    assert read_json(places[1])["model"]["name"] == "the model"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_a_folder_that_does_not_exist_is_named(places, tmp_path, which, force):
    paths = list(places)
    paths[which] = tmp_path / "missing" / paths[which].name
    message = f"The folder {tmp_path / 'missing'} does not exist; create it, or give another path."
    with raises_exactly(FileNotFoundError, message):
        made_up_report().write(*paths, force=force)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_place_of_a_file_is_named(places, tmp_path, force):
    places[0].mkdir()
    with raises_exactly(IsADirectoryError, f"{places[0]} is a folder; give the path of a file."):
        made_up_report().write(*places, force=force)
    assert not places[1].exists()


def test_a_folder_that_cannot_be_written_to_is_named(places, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with raises_exactly(PermissionError, f"The folder {tmp_path} cannot be written to; give another path."):
        made_up_report().write(*places)


def test_one_path_for_both_files_is_refused(places, tmp_path):
    (tmp_path / "inner").mkdir()
    same = tmp_path / "inner" / ".." / "report.html"
    with raises_exactly(ValueError, f"The page and its JSON would both be {places[0]}; give them different paths."):
        made_up_report().write(places[0], same)
    assert not places[0].exists()


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_earlier_report_whole(places, tmp_path, monkeypatch, failing):
    made_up_report(name="the first").write(*places)
    before = [place.read_bytes() for place in places]

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left on device"):
        made_up_report(name="the second").write(*places)
    assert [place.read_bytes() for place in places] == before
    assert sorted(tmp_path.iterdir()) == sorted(places)  # no scratch files


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"tables": {"numbers": pd.DataFrame({"value": [1.0]})}}, UndefinedError, "no attribute 'more numbers'"),
        ({"environment": {"seconds": float("nan")}}, ValueError, "not JSON compliant"),
        ({"environment": {"what": {1, 2}}}, TypeError, "^set cannot be written to JSON$"),
    ],
    ids=["a page that lacks a table", "a number that is none", "a value that JSON does not know"],
)
def test_what_cannot_be_written_down_leaves_the_earlier_report_whole(places, fields, error, message):
    made_up_report().write(*places)
    before = [place.read_bytes() for place in places]
    with pytest.raises(error, match=message):
        made_up_report(**fields).write(*places)
    assert [place.read_bytes() for place in places] == before


def test_files_are_readable_by_others(places):
    made_up_report().write(*places)
    assert [place.stat().st_mode & 0o777 for place in places] == [0o644, 0o644]
