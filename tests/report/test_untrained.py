"""Untrained transformers score surprisingly high on similarity to gradient descent, and support nothing."""

import pytest

from interp.report import Report
from tests.report.quick import quick_report


def assert_supports_nothing(report: Report) -> None:
    verdicts = {finding.id: finding.verdict for finding in report.findings}
    of_algorithm = {f"algorithm.layer1{measure}" for measure in ("", ".weights", ".response")}
    assert of_algorithm | {"learned.regression", "head.layer1.head0"} <= set(verdicts)
    assert [finding_id for finding_id, verdict in verdicts.items() if verdict == "supported"] == []


@pytest.mark.parametrize("seed", [0])
def test_an_untrained_layer_supports_nothing(seed):
    assert_supports_nothing(quick_report(f"untrained:lsa-1layer,seed={seed}"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 20))
def test_twenty_untrained_layers_support_nothing(seed):
    assert_supports_nothing(quick_report(f"untrained:lsa-1layer,seed={seed}"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lsa-2layer-looped", "lsa-5layer"])
def test_several_untrained_layers_support_nothing(name):
    assert_supports_nothing(quick_report(f"untrained:{name}"))
