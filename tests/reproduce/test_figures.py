"""Every figure from end to end, on models trained for a moment: complete, and supporting nothing about alignment."""

import pytest

from interp.reproduce import FIGURES, Lab, reproduce

COLUMNS = ["panel", "series", "seed", "x", "y"]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_complete_and_models_trained_for_a_moment_align_with_nothing(name, briefly):
    result = reproduce(name, Lab(quick=True, seeds=2, folder=briefly, jobs=1))
    assert result.name == name
    assert list(result.table.columns[:5]) == COLUMNS
    assert result.table["y"].notna().all()
    assert {ax.get_title() for ax in result.drawing.axes} >= set(result.table["panel"])
    assert all(run["checksum"] for run in result.runs)
    assert len({finding.id for finding in result.findings}) == len(result.findings) > 0
    assert all(finding.id.startswith(f"{name}.") for finding in result.findings)
    for finding in result.findings:
        if finding.statistic in ("cosine_of_sensitivities", "loss_relative_to_best_gd", "loss_relative_to_gd++"):
            low_is_claimed = "below" in finding.claim or "fallen" in finding.claim
            assert finding.verdict != "supported" or low_is_claimed, finding.claim
        assert not (name.startswith("fu-") and finding.verdict == "supported"), finding.claim


def test_an_unknown_figure_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'oswald-fig3'"):
        reproduce("oswald-fgi3")


def test_one_seed_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="at least 2 seeds, got 1"):
        Lab(seeds=1)
