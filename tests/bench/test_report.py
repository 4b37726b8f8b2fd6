import pytest

from interp.bench import BenchOptions
from interp.bench.heat_map import Sample
from interp.bench.heat_map import Workload as Loops
from interp.bench.plain_solvers import keeping_the_trajectory
from interp.bench.report import Workload, compare

SMALL = Workload(
    recipe="lsa-1layer",
    loops=Loops(
        n_prompts=16,
        n_points=11,
        dim=10,
        newton_steps=(1, 3),
        gd_steps=(1, 5),
        trajectory=Sample(n_prompts=2, prefixes=(4, 6)),
        scratch=Sample(n_prompts=1, prefixes=(1,)),
    ),
)


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """Reports are tested where they are made."""
    built = []
    monkeypatch.setattr("interp.bench.report.build", lambda model, prompts: built.append((model, prompts)))
    return built


def test_the_loops_are_scaled_to_every_prefix_of_the_reports_prompts(no_report):
    (comparison,) = compare(BenchOptions(repeats=2), SMALL)
    assert [len(prompts) for _, prompts in no_report] == [16, 16]
    assert comparison.largest_difference < 1e-9
    assert "gd and newton alone at 4 step counts" in comparison.note
    assert comparison.note.endswith("measured on 4 of 160 problems and scaled")


def test_loops_of_something_else_stop_the_comparison(monkeypatch, no_report):
    monkeypatch.setattr(
        "interp.bench.report.keeping_the_trajectory",
        lambda newton, gd, lr: keeping_the_trajectory(newton, gd, 2 * lr),
    )
    with pytest.raises(ValueError, match="iterates of our solvers and of plain loops disagree"):
        compare(BenchOptions(repeats=1), SMALL)
    assert no_report == []
