import dataclasses

import jaxtyping
import pandas as pd
import pytest
import torch

from interp.models.language_twins import untrained_language_twin
from interp.models.loading import load_language
from interp.report import LanguageReportOptions, Report, build_language
from interp.report.language.heads import finding_of_head
from interp.report.notes import NOTES
from tests.attribution.language.models import INDUCTION, PERIOD, PREVIOUS, gpt2, induction_circuit, native
from tests.errors import raises_exactly
from tests.report.reading import read_json, read_page

OPTIONS = LanguageReportOptions(n_sequences=6, period=PERIOD)


def quick_language_report(bridge, options=OPTIONS) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        return build_language(bridge, options=options)


@pytest.fixture(scope="module")
def report() -> Report:
    return quick_language_report(induction_circuit())


@pytest.fixture(scope="module")
def findings(report):
    return {finding.id: finding for finding in report.findings}


def verdicts(report: Report) -> dict[str, str]:
    return {finding.id: finding.verdict for finding in report.findings}


def test_a_built_circuit_is_named_head_by_head_and_supported_throughout(report):
    named = {
        f"head.layer{PREVIOUS[0] + 1}.head{PREVIOUS[1]}.previous-token",
        f"head.layer{INDUCTION[0] + 1}.head{INDUCTION[1]}.induction",
    }
    found = verdicts(report)
    heads = {finding_id for finding_id in found if finding_id.startswith("head.layer")}
    assert named <= heads
    assert heads - named == {"head.layer1.head1.duplicate-token"}  # built, too, but what it finds nobody reads
    of_circuit = {
        *named,
        "learned.repeats",
        "head.induction.copies",
        "head.induction.needed",
        "head.induction.all_of_it",
        "head.previous-token.needed",
        "head.previous-token.all_of_it",
        "head.induction.reads_previous",
    }
    assert {finding_id: found[finding_id] for finding_id in of_circuit} == dict.fromkeys(of_circuit, "supported")


def test_every_table_without_a_figure_says_how_to_read_it(report):
    names = {name for section in report.sections for name in section.tables}
    assert names == {"repeats", "head_labels", "composition", "edges"}
    assert names <= NOTES.keys()


def test_claims_say_what_the_heads_were_held_against(report, findings):
    """Layer 2 has heads to spare for a control of as many others; a layer without gets random directions."""
    for kind in ("previous-token", "induction"):
        needed = findings[f"head.{kind}.needed"]
        rows = report.tables["ablation"].query("set == @kind")
        against = "as many others" if set(rows["control"]) == {"heads"} else "random directions of the same size"
        assert needed.claim.endswith(f"rises more than without {against}")


@pytest.mark.parametrize(
    ("confirmed", "needed"),
    [
        ("alone", "it"),
        ("alone, against directions", "it"),
        ("together", "these heads, though not it alone"),
        ("together, against directions", "these heads, though not it alone"),
        ("no", "it"),
    ],
)
def test_a_head_is_said_to_be_needed_alone_only_where_it_is(confirmed, needed):
    head = {
        **{"layer": 2, "head": 1, "value": 0.8, "ci_low": 0.7, "ci_high": 0.9, "bar": 0.4},
        **{"copying": 0.9, "copying_p": 0.01, "confirmed": confirmed},
    }
    finding = finding_of_head(head, "induction", pd.DataFrame({"value": [0.01]}), 0.02)
    assert finding.claim == f"Head 1 of layer 2 is an induction head, and repeats need {needed}"
    assert (finding.verdict == "supported") == (confirmed != "no")


def test_a_head_that_only_looks_is_not_supported(report):
    found = verdicts(report)
    assert found["head.layer1.head1.duplicate-token"] != "supported"
    assert found["head.duplicate-token.needed"] != "supported"


def test_estimates_are_those_of_the_construction(findings):
    assert findings["learned.repeats"].estimate < 0.02
    induction = findings["head.layer2.head0.induction"]
    # Without BOS, position 0 has itself as its previous token and ties with position 1 for the first of 12 queries.
    assert induction.estimate == pytest.approx(1 - 0.5 / PERIOD, abs=5e-4)
    assert induction.controls["random_init, highest"] < 0.4
    assert findings["head.induction.copies"].estimate == pytest.approx(1.0, abs=1e-6)
    assert findings["head.induction.all_of_it"].estimate >= 1.0  # the mean of what it wrote misleads


def test_an_untrained_model_supports_nothing():
    report = quick_language_report(gpt2())
    assert [finding_id for finding_id, verdict in verdicts(report).items() if verdict == "supported"] == []
    assert not [finding_id for finding_id in verdicts(report) if finding_id.startswith("head.")]
    assert "What breaks without them" not in {section.title for section in report.sections}


def test_it_becomes_a_whole_page_and_strict_json(report, tmp_path):
    report.write(json=tmp_path / "report.json", html=tmp_path / "report.html")
    record = read_json(tmp_path / "report.json")
    assert {row["label"] for row in record["tables"]["head_labels"]} >= {"previous-token", "induction", "none of these"}
    assert record["environment"]["period"] == PERIOD
    page = read_page((tmp_path / "report.html").read_text())
    titles = [heading.text for heading in page.all("h2")]
    assert titles == [
        "Findings",
        "What it makes of repeats",
        "Which heads move tokens",
        "What they carry",
        "What breaks without them",
        "Provenance",
    ]


@pytest.mark.slow
def test_the_trained_model_tells_how_its_heads_formed():
    report = quick_language_report(load_language("induction-2layer"), LanguageReportOptions(n_sequences=4))
    formed = {finding.id: finding for finding in report.findings}["learned.phase_change"]
    assert formed.verdict == "supported"
    table = report.tables["formation"]
    last = table[table["update"] == table["update"].max()].set_index("measure")
    assert last.loc["loss on repeat", "value"] < 0.1 * last.loc["loss on first", "value"]
    assert last.loc["induction", "value"].max() > 0.8
    (section,) = [section for section in report.sections if section.title == "When they formed"]
    assert "checkpoints of its training" in section.introduction


def test_a_model_changed_since_it_was_read_does_not_claim_the_checkpoints():
    bridge = load_language("induction-2layer")
    with torch.no_grad():
        bridge.blocks[0].attn.q.original_component.weight.zero_()
    report = quick_language_report(bridge, LanguageReportOptions(n_sequences=4))
    assert "When they formed" not in {section.title for section in report.sections}


def test_the_same_seed_makes_the_same_report():
    options = dataclasses.replace(OPTIONS, n_sequences=4)
    one, two = (quick_language_report(native(seed=1, n_ctx=64), options) for _ in range(2))
    assert [finding.to_record() for finding in one.findings] == [finding.to_record() for finding in two.findings]


def test_twins_of_the_trained_model_support_nothing():
    twin = untrained_language_twin(load_language("induction-2layer"), seed=5)
    report = quick_language_report(twin, LanguageReportOptions(n_sequences=4))
    assert [finding_id for finding_id, verdict in verdicts(report).items() if verdict == "supported"] == []


def test_too_few_sequences_are_refused():
    with raises_exactly(ValueError, "A report takes intervals over sequences and needs at least 4, got 3."):
        LanguageReportOptions(n_sequences=3)
