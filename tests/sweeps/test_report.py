"""What a sweep's page says of made-up runs."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from interp.report.document import Report
from interp.sweeps import Sweep
from interp.sweeps.analyses import Measured
from interp.sweeps.collect import SweepTables, collect
from interp.sweeps.folder import Outcome, SweepFolder, opened
from interp.sweeps.plan import PlannedRun
from interp.sweeps.report import write_report
from tests.report.reading import read_json, read_page
from tests.sweeps.sweep_files import small_sweep

pytestmark = pytest.mark.usefixtures("tiny")

GRID = {"model.n_layers": [1, 2, 4], "schedule": ["constant", "cosine"]}


def pretend(folder: SweepFolder, sweep: Sweep, run: PlannedRun, loss: float, untrained: float = 3.0) -> None:
    """Let a run have finished with this loss."""
    folder.run(run).mkdir(parents=True)
    (folder.run(run) / "model.safetensors").write_bytes(b"")
    log = [{"step": step, "loss": loss + 1 - step, "lr": 0.1} for step in (0, 1)]
    (folder.run(run) / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    numbers: dict[str, float | int | str] = {"loss": loss, "loss_untrained": untrained}
    table = pd.DataFrame({"model": ["the model"], "loss": [loss]})
    folder.write_analysis(run, sweep.analyses[0], Measured(numbers=numbers, table=table))


def losses_of(run: PlannedRun) -> float:
    """Losses that fall as one over the layers, whatever the seed and the schedule."""
    return (1 + run.seed) * len(run.recipe.schedule) / run.fields["model.n_layers"]


@pytest.fixture
def sweep() -> Sweep:
    return small_sweep(grid=GRID, seeds=[0, 1, 2, 3])


@pytest.fixture
def folder(sweep, tmp_path) -> SweepFolder:
    """All runs finished but one, which diverged, and one, which is not there."""
    with opened(sweep, tmp_path) as place:
        for run in sweep.runs[:-2]:
            pretend(place, sweep, run, losses_of(run))
        place.write_outcome(sweep.runs[-2], Outcome("diverged", "the loss is nan"))
        return place


@pytest.fixture
def tables(sweep, folder) -> SweepTables:
    return collect(sweep, folder)


def report_on(sweep: Sweep, tables: SweepTables) -> Report:
    return write_report(sweep, tables, command="interp sweep a.toml", began=0.0, device=torch.device("cpu"))


def test_the_table_has_every_run_in_the_order_of_the_file(sweep, tables):
    assert list(tables.results.columns) == [
        "run",
        "model.n_layers",
        "schedule",
        "seed",
        "status",
        "reason",
        "training_loss",
        "loss",
        "loss_untrained",
    ]
    assert list(tables.results["run"]) == [run.name for run in sweep.runs]
    assert list(tables.results["status"])[-3:] == ["finished", "diverged", "unfinished"]
    assert list(tables.results["reason"])[-3:] == ["", "the loss is nan", ""]
    assert list(tables.results["loss"])[:-2] == [losses_of(run) for run in sweep.runs[:-2]]
    assert (tables.results["training_loss"] == tables.results["loss"])[:-2].all()
    assert tables.results["loss"].isna().sum() == 2


def test_a_long_table_has_the_fields_of_its_runs(sweep, tables):
    table = tables.analyses["loss"]
    assert list(table.columns) == ["run", "model.n_layers", "schedule", "seed", "model", "loss"]
    assert len(table) == len(sweep.runs) - 2
    row = table[table["run"] == "n_layers=4,schedule=constant,seed=1"].iloc[0]
    assert (row["model.n_layers"], row["schedule"], row["seed"]) == (4, "constant", 1)


def test_a_loss_that_falls_is_found_with_the_exact_ratio(sweep, tables):
    (finding,) = report_on(sweep, tables).findings  # a schedule has no order
    assert finding.id == "learned.loss_by.model.n_layers"
    assert finding.claim == "From model.n_layers 1 to 4 the held-out loss falls"
    assert (finding.estimate, *finding.ci) == pytest.approx((0.25, 0.25, 0.25))
    assert finding.controls == pytest.approx({"random_init": 1.0})
    assert finding.details["seeds"] == [0, 1]  # the others lack a run at one end
    assert (finding.verdict, finding.details["diverged at either end"]) == ("inconclusive", [0, 1])


@pytest.mark.parametrize(
    ("exponent", "lost_at", "verdict"),
    [(-1.0, 1, "supported"), (-1.0, 2, "inconclusive"), (1.0, 1, "inconclusive"), (1.0, 2, "refuted")],
)
def test_an_end_where_runs_diverged_wins_nothing(tmp_path, exponent, lost_at, verdict):
    """Of three seeds the two that are left would say otherwise."""
    sweep = small_sweep(seeds=[0, 1, 2])
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            layers = run.fields["model.n_layers"]
            if (layers, run.seed) == (lost_at, 2):
                folder.write_outcome(run, Outcome("diverged", "the loss is nan"))
            else:
                pretend(folder, sweep, run, (1 + run.seed) * layers**exponent)
    (finding,) = report_on(sweep, collect(sweep, folder)).findings
    assert finding.verdict == verdict
    assert finding.estimate == pytest.approx(2**exponent)
    assert f"{int(lost_at == 1)} at 1 and {int(lost_at == 2)} at 2" in finding.reason


def test_fields_that_change_together_are_compared_as_one(tmp_path):
    rows = [{"task.dim": dim, "model.dim": dim} for dim in (2, 4)]
    sweep = small_sweep(runs=rows)
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            pretend(folder, sweep, run, run.fields["task.dim"] / run.fields["model.n_layers"])
    report = report_on(sweep, collect(sweep, folder))
    assert {finding.id: finding.estimate for finding in report.findings} == pytest.approx(
        {"learned.loss_by.task.dim": 2.0, "learned.loss_by.model.n_layers": 0.5}
    )
    assert [figure.table for figure in report.figures] == ["loss by task.dim", "loss by model.n_layers"]
    along = "In these runs model.dim only ever changed together with task.dim."
    assert report.figures[0].caption.endswith(along)
    assert report.findings[0].reason.endswith(along.removesuffix("."))
    assert list(report.tables["loss by task.dim"]["series"]) == ["n_layers 1", "n_layers 2"] * 2


@pytest.mark.parametrize(
    ("exponent", "of_untrained", "verdict"),
    [(-1.0, 0.0, "supported"), (1.0, 0.0, "refuted"), (0.0, 0.0, "inconclusive"), (-1.0, -1.0, "inconclusive")],
    ids=["falls", "rises", "stays", "falls before training too"],
)
def test_the_verdict_on_a_fall(tmp_path, exponent, of_untrained, verdict):
    sweep = small_sweep(seeds=[0, 1, 2])
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            layers = run.fields["model.n_layers"]
            pretend(folder, sweep, run, (1 + run.seed) * layers**exponent, 3 * layers**of_untrained)
    (finding,) = report_on(sweep, collect(sweep, folder)).findings
    assert finding.verdict == verdict


def test_one_seed_proves_nothing(tmp_path):
    sweep = small_sweep(seeds=[5])
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            pretend(folder, sweep, run, losses_of(run))
    assert report_on(sweep, collect(sweep, folder)).findings == ()


def test_there_is_a_drawing_with_its_numbers_for_every_swept_field(sweep, tables):
    report = report_on(sweep, tables)
    assert [figure.table for figure in report.figures] == ["loss by model.n_layers", "loss by schedule"]
    numbers = report.tables["loss by model.n_layers"]
    row = numbers[(numbers["model.n_layers"] == 2) & (numbers["series"] == "schedule cosine")].iloc[0]
    assert (row["mean"], row["low"], row["high"], row["control"]) == (7.5, 3.0, 12.0, 3.0)
    assert all(figure.caption.endswith(" Hollow dots: before training.") for figure in report.figures)


def test_steps_of_different_algorithms_are_not_averaged(tmp_path):
    sweep = small_sweep(analyses=["match"], options={})
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            pretend(folder, sweep, run, 1.0)
            solver, step = ("gd", 100) if run.seed else ("newton", 4)
            numbers: dict[str, float | int | str] = {"match_solver": solver, "match_step": step}
            folder.write_analysis(run, sweep.analyses[0], Measured(numbers=numbers, table=pd.DataFrame({"layer": [1]})))
    report = report_on(sweep, collect(sweep, folder))
    drawn = report.tables["match_step by model.n_layers"]
    assert list(drawn["series"]) == ["match_solver gd", "match_solver newton"] * 2
    assert list(drawn["mean"]) == [100, 4, 100, 4]


def test_the_page_says_what_all_runs_have_in_common(tmp_path):
    sweep = small_sweep(fields={"lr": 0.5, "task.noise_std": 0.25})
    with opened(sweep, tmp_path) as folder:
        report = report_on(sweep, collect(sweep, folder))
    assert report.model["summary"].endswith(": 4 unfinished. In all of them: task.noise_std 0.25, lr 0.5.")
    assert report.model["recipe"] == sweep.shared
    assert report.model["recipe"]["lr"] == 0.5


def test_a_field_that_only_one_value_finished_with_is_not_drawn(sweep, folder):
    for run in sweep.runs:
        if run.recipe.schedule == "cosine":
            (folder.run(run) / "model.safetensors").unlink(missing_ok=True)
    assert [figure.table for figure in report_on(sweep, collect(sweep, folder)).figures] == ["loss by model.n_layers"]


def test_the_page_and_its_json_say_the_same(sweep, tables, tmp_path: Path):
    report = report_on(sweep, tables)
    html, record = tmp_path / "report.html", tmp_path / "report.json"
    report.write(html, record)
    page, content = read_page(html.read_text()), read_json(record)
    summary = (
        "A sweep of 24 runs of the recipe tiny over model.n_layers, schedule, seed: 22 finished, 1 diverged, 1 "
        "unfinished."
    )
    assert content["model"]["summary"] == summary
    assert summary in page.text
    assert content["environment"]["seeds"] == "0, 1, 2, 3"
    assert content["environment"]["analyses"] == "loss (seed 0, n_prompts 64)"
    assert [row["run"] for row in content["tables"]["results"]] == [run.name for run in sweep.runs]


def test_a_sweep_of_nothing_but_failures_still_has_a_page(tmp_path):
    sweep = small_sweep()
    with opened(sweep, tmp_path) as folder:
        for run in sweep.runs:
            folder.write_outcome(run, Outcome("failed", "no"))
    report = report_on(sweep, collect(sweep, folder))
    assert (report.findings, report.figures) == ((), ())
    report.write(tmp_path / "report.html")
