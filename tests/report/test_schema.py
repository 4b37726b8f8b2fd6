"""The form of report.json: design section 4."""

import re

PARTS = ("id", "claim", "statistic", "estimate", "ci", "controls", "alternatives", "verdict")


def test_the_file_names_its_schema_and_has_its_parts(record):
    assert record["schema"] == "interp-report/1"
    assert list(record) == ["schema", "model", "environment", "findings", "tables"]


def test_every_finding_has_all_parts_in_their_types(record):
    for finding in record["findings"]:
        assert set(PARTS) <= set(finding)
        for text in ("claim", "statistic", "reason"):
            assert finding[text], f"{finding['id']} has no {text}"
        assert isinstance(finding["estimate"], float)
        assert all(isinstance(alternative, str) for alternative in finding["alternatives"])
        assert finding["verdict"] in {"supported", "refuted", "inconclusive"}


def test_ids_are_unique_and_begin_with_what_they_speak_of(record):
    ids = [finding["id"] for finding in record["findings"]]
    assert len(set(ids)) == len(ids)
    assert {finding_id.partition(".")[0] for finding_id in ids} == {"learned", "layer", "algorithm", "token", "head"}
    assert all(re.fullmatch(r"[a-z]+(\.[a-z0-9_]+)+", finding_id) for finding_id in ids)


def test_intervals_hold_their_estimates(record):
    for finding in record["findings"]:
        low, high = finding["ci"]
        assert low <= finding["estimate"] <= high, finding["id"]


def test_every_finding_has_controls_and_they_are_numbers(record):
    for finding in record["findings"]:
        assert finding["controls"], finding["id"]
        assert all(isinstance(value, float) for value in finding["controls"].values())


def test_tables_are_rows_of_the_same_columns(record):
    tables = {"losses", "readouts", "match_errors", "match_weights", "match_response", "responses", "growth"}
    tables |= {"products", "path", "shifts", "token_dependency", "ablation"}
    assert tables <= set(record["tables"])
    for name, rows in record["tables"].items():
        assert rows, name
        assert {tuple(row) for row in rows} == {tuple(rows[0])}


def test_every_table_is_shown_but_the_growth_of_one_layer(lsa_report):
    shown = [figure.table for figure in lsa_report.figures]
    shown += [name for section in lsa_report.sections for name in section.tables]
    assert set(shown) == set(lsa_report.tables) - {"growth"}
