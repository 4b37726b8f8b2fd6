"""A report on a model without attention."""

import jaxtyping
import pytest

from interp.models import LSTMConfig, RegressionLSTM
from interp.report import Report, ReportOptions, build
from interp.report.build import _describe
from interp.tasks import LinearRegression, TokenLayout
from tests.report.reading import read_json, read_page


def small_lstm(n_layers: int) -> RegressionLSTM:
    cfg = LSTMConfig(dim=2, n_layers=n_layers, width=8, layout=TokenLayout(kind="interleaved"))
    return RegressionLSTM(cfg, LinearRegression(dim=2, n_points=7, inputs="gaussian"))


@pytest.fixture(scope="module")
def report() -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        return build(small_lstm(2), options=ReportOptions(n_prompts=64))


def test_an_untrained_lstm_supports_nothing(report):
    verdicts = {finding.id: finding.verdict for finding in report.findings}
    measures = ("", ".weights", ".response")
    expected = {f"algorithm.layer{layer}{measure}" for layer in (1, 2) for measure in measures}
    assert expected | {"learned.regression", "token.query_reads_examples"} <= set(verdicts)
    assert [finding_id for finding_id, verdict in verdicts.items() if verdict == "supported"] == []


def test_it_says_that_there_are_no_heads(report):
    (section,) = [section for section in report.sections if section.title == "Which tokens it moves"]
    assert section.introduction == ("Where information travels between positions. The model has no attention heads.")
    assert not [finding.id for finding in report.findings if finding.id.startswith("head.")]
    assert not {"head_scores", "ablation"} & set(report.tables)


@pytest.mark.parametrize(("n_layers", "words"), [(1, "1 LSTM layer"), (3, "3 LSTM layers")])
def test_its_layers_are_named(n_layers, words):
    assert _describe(small_lstm(n_layers))["summary"] == (
        f"A model: {words}, width 8, on in-context regression with inputs of dim 2 and up to 6 examples."
    )


def test_its_shape_and_task_are_on_record_and_its_page_is_whole(report, tmp_path):
    report.write(json=tmp_path / "report.json", html=tmp_path / "report.html")
    record = read_json(tmp_path / "report.json")
    assert record["model"]["config"]["kind"] == "lstm"
    assert record["model"]["task"]["dim"] == 2
    assert "The model has no attention heads." in read_page((tmp_path / "report.html").read_text()).text
