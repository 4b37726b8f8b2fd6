"""Models whose algorithm was built in are named rightly."""

import pytest

from interp.report import Report
from tests.report.quick import quick_report


def assert_supported_step_by_step(report: Report, solver: str, lead: int = 0):
    """Layer l follows step l - ``lead`` of the solver; layers that would be before step 0 predict nothing yet."""
    findings = {finding.id: finding for finding in report.findings}
    n_layers = report.model["config"]["n_layers"]
    for layer in range(1, n_layers + 1):
        for suffix in ("", ".weights", ".response"):
            finding = findings[f"algorithm.layer{layer}{suffix}"]
            if layer < lead:
                assert finding.verdict != "supported"
                continue
            assert (finding.details["solver"], finding.details["step"]) == (solver, layer - lead)
            assert (finding.verdict, finding.alternatives) == ("supported", ())
            assert finding.ci[0] > 0.999


def test_three_constructed_gd_steps_are_named_layer_by_layer():
    report = quick_report("gd:steps=3,dim=5")
    assert_supported_step_by_step(report, "gd")
    findings = {finding.id: finding for finding in report.findings}
    assert findings["algorithm.alignment"].verdict == findings["algorithm.construction"].verdict == "supported"
    # The construction's step size is a safe one, not the best.
    assert findings["learned.gd_loss"].verdict == "refuted"
    assert findings["learned.gd_loss"].estimate > 1.1
    assert "algorithm.step_size" not in findings  # defined for one step


@pytest.mark.slow
def test_constructed_gd_plus_steps_are_named_layer_by_layer():
    report = quick_report("gd++:steps=2,dim=5")
    findings = {finding.id: finding for finding in report.findings}
    last = findings["algorithm.layer2"]
    assert (last.details["solver"], last.details["step"], last.verdict) == ("gd++", 2, "supported")
    assert "algorithm.alignment" not in findings  # it is held against GD
    for name in ("interpolation", "construction", "out_of_distribution"):
        assert findings[f"algorithm.{name}"].verdict == "supported"
        assert findings[f"algorithm.{name}"].estimate == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_constructed_newton_steps_are_named_layer_by_layer():
    report = quick_report("newton:steps=3,dim=5")
    assert_supported_step_by_step(report, "newton", lead=2)
