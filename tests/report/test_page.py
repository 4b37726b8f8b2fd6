"""The page: one file that fetches nothing, runs nothing and says what the report says."""

import json
import re
from itertools import pairwise

import pytest

from interp.report.notes import NOTES
from interp.report.render import ROWS_SHOWN, render_html, show
from tests.report.made_up import made_up_report
from tests.report.reading import Element, read_page

FETCHING = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "ping", "formaction"}
"""Attributes whose value a browser may go and fetch."""
NASTY = "<script>alert(1)</script>"
QUOTED = """runs/a & b's "best" <b>one</b>"""


@pytest.fixture(scope="module")
def page(lsa_report):
    return read_page(render_html(lsa_report))


def assert_self_contained(page: Element) -> None:
    for element in page.everything():
        assert element.tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name, value in element.attributes.items():
            assert not name.startswith("on"), f"{name} runs code"
            if name in FETCHING:
                assert value.startswith(("#", "data:")), f"{name}={value!r} asks for something outside"
            assert not re.search(r"url\(\s*[^#\s)]", value), value
    for style in page.all("style"):
        assert "@import" not in style.text
        assert "url(" not in style.text


def test_a_page_fetches_nothing_and_runs_nothing(page):
    assert_self_contained(page)


@pytest.mark.parametrize("text", [NASTY, QUOTED])
def test_text_from_outside_stays_text(text):
    page = read_page(render_html(made_up_report(name=text, note=text)))
    assert_self_contained(page)
    assert not page.all("b")[1:]  # the one is the number of the one control
    assert page.all("h1")[0].text == text
    assert page.all("title")[0].text.startswith(text)
    assert page.all("figure")[0].all("div")[0].attributes["aria-label"] == text
    # everywhere else that text may stand: finding, figure, tables, provenance
    assert page.text.count(text) >= 15


def test_text_in_a_config_comes_back_as_it_was():
    page = read_page(render_html(made_up_report(note=QUOTED)))
    (config,) = page.all("pre")
    assert json.loads(config.text) == {"note": QUOTED}


def test_the_page_is_one_document_in_one_language_for_screens_of_any_width(page):
    (html,) = page.children
    assert html.tag == "html"
    assert html.attributes["lang"] == "en"
    metas = {meta.attributes.get("name"): meta.attributes.get("content") for meta in page.all("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert page.all("meta")[0].attributes == {"charset": "utf-8"}
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert page.all("h1")[0].text == "lsa-1layer"


def test_headings_do_not_skip_a_level(page):
    levels = [int(element.tag[1]) for element in page.everything() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_findings_come_before_the_sections_and_provenance_comes_last(page, lsa_report):
    headings = [heading.text for heading in page.all("h2")]
    assert headings == ["Findings", *(section.title for section in lsa_report.sections), "Provenance"]
    first, *others = page.all("section")
    assert len(first.all("article")) == len(lsa_report.findings)
    assert not any(section.all("article") for section in others)


def test_every_finding_shows_its_numbers_its_controls_and_its_verdict(page, lsa_report):
    for article, finding in zip(page.all("article"), lsa_report.findings, strict=True):
        assert article.attributes["id"] == finding.id
        assert finding.verdict in article.attributes["class"].split()
        for text in (finding.verdict, finding.claim, finding.reason, show(finding.estimate), *map(show, finding.ci)):
            assert text in article.text
        for name, value in finding.controls.items():
            assert f"{name.replace('_', ' ')} {show(value)}" in article.text
        for alternative in finding.alternatives:
            assert alternative in article.text


def test_anchors_are_unique(page):
    anchors = [
        element.attributes["id"]
        for tag in ("section", "article")
        for element in page.all(tag)
        if "id" in element.attributes
    ]
    assert len(set(anchors)) == len(anchors) > 0


def test_every_figure_has_a_drawing_a_caption_and_its_numbers(page, lsa_report):
    figures = page.all("figure")
    assert len(figures) == len(lsa_report.figures) >= 6
    for figure, source in zip(figures, lsa_report.figures, strict=True):
        (drawing,) = figure.all("svg")
        assert drawing.all("path")
        (caption,) = figure.all("figcaption")
        assert caption.text == source.caption
        assert len(caption.text) > 50  # how to read it, not just what it is
        (table,) = figure.all("table")
        numbers = lsa_report.tables[source.table]
        assert [column.text for column in table.all("th")] == list(numbers.columns)
        assert len(table.all("tr")) == 1 + min(len(numbers), ROWS_SHOWN)


def test_every_table_without_a_figure_says_how_to_read_it(page, lsa_report):
    names = [name for section in lsa_report.sections for name in section.tables]
    assert {"effective_steps", "convergence", "head_scores", "dependency_by_offset"} <= set(names)
    paragraphs = [element.text for element in page.all("p")]
    for name in names:
        assert NOTES[name] in paragraphs


def test_a_table_of_growth_that_knows_no_law_is_in_the_json_alone(lsa_report):
    assert lsa_report.tables["growth"]["factor"].isna().all()  # one layer does not grow
    assert "growth" not in [name for section in lsa_report.sections for name in section.tables]


def test_text_in_drawings_is_text(page):
    words = {text.text for drawing in page.all("svg") for text in drawing.all("text")}
    assert {"the model", "similarity", "rise of the loss", "layer 1 head 0", "held-out R2"} <= words


def test_what_drawings_refer_to_is_in_the_page(page):
    elements = page.everything()
    ids = {element.attributes.get("id") for element in elements}
    values = " ".join(value for element in elements for value in element.attributes.values())
    references = re.findall(r"url\(#([^)]+)\)", values)
    references += [
        value.removeprefix("#")
        for element in elements
        for name, value in element.attributes.items()
        if name in ("href", "xlink:href") and value.startswith("#")
    ]
    assert references
    assert set(references) <= ids


def test_drawings_take_the_pages_colour_so_that_they_read_in_the_dark(page):
    drawings = page.all("svg")
    values = [
        value for drawing in drawings for element in drawing.everything() for value in element.attributes.values()
    ]
    assert not any("#010203" in value for value in values)
    assert any("currentColor" in value for value in values)
    assert "prefers-color-scheme: dark" in page.all("style")[0].text


def test_the_same_report_gives_the_same_page():
    assert render_html(made_up_report()) == render_html(made_up_report())


def test_a_long_table_is_cut_and_says_so():
    page = read_page(render_html(made_up_report(n_rows=ROWS_SHOWN + 1)))
    assert [len(table.all("tr")) for table in page.all("table")] == [ROWS_SHOWN + 1] * 2  # and the head
    notes = [note.text for note in page.all("p") if note.attributes.get("class") == "note"]
    assert notes == [f"The first {ROWS_SHOWN} of {ROWS_SHOWN + 1} rows; report.json has all of them."] * 2


def test_the_provenance_is_on_the_page(page, lsa_report):
    provenance = page.all("section")[-1].text
    for expected in (lsa_report.environment["command"], lsa_report.model["checksum"], "torch", "lsa-1layer"):
        assert expected in provenance
    assert [summary.text for summary in page.all("section")[-1].all("summary")] == ["Config", "Task", "Recipe"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98765432, "0.9877"),
        (0.99987654, "0.999877"),
        (-0.99999765, "-0.999998"),
        (1.0, "1"),
        (0.0, "0"),
        (-0.0012345, "-0.001234"),
        (0.00012345, "1.23e-04"),
        (7.151914687736656e33, "7.152e+33"),
        (123456.0, "1.235e+05"),
        (12345.0, "1.234e+04"),
        (float("nan"), "\u2013"),
        (float("inf"), "\u2013"),
        (True, "yes"),
        (False, ""),
        (3, "3"),
        ("gd", "gd"),
    ],
)
def test_numbers_are_shown_to_four_digits_and_to_six_near_1(value, text):
    assert show(value) == text
