"""Running a sweep."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from interp._devices import DEVICES
from interp._files import write_atomically
from interp._names import unknown_name
from interp._precision import check_precision
from interp._progress import track
from interp.report.document import Report
from interp.sweeps.cluster import Resources, do_all, ray_cluster
from interp.sweeps.collect import collect
from interp.sweeps.folder import Outcome, SweepFolder, opened
from interp.sweeps.plan import Sweep
from interp.sweeps.report import write_report
from interp.sweeps.worker import Manner, do_run


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """A sweep that has been run."""

    folder: Path
    results: pd.DataFrame
    """One row per run; see `SweepTables`."""
    tables: dict[str, pd.DataFrame]
    """The long table of every analysis."""
    report: Report
    """What compares the runs."""


def run_sweep(
    sweep: Sweep,
    folder: Path | str,
    *,
    address: str | None = None,
    jobs: int = 0,
    cpus_per_run: int = 1,
    gpus_per_run: float = 1.0,
    device: str = "cpu",
    command: str = "interp.sweeps.run_sweep",
) -> SweepResult:
    """Train and analyse every run of a sweep on Ray, and write tables, figures and a report into ``folder``.

    Ray runs on this machine alone unless ``address`` names a cluster, all of whose machines must see ``folder`` under
    the same path. Each run takes ``cpus_per_run`` cores, and on ``cuda`` ``gpus_per_run`` GPUs; ``jobs`` bounds how
    many run at a time. What is finished, or diverged, is never run again, and unfinished runs go on from their last
    checkpoint: those whose worker died at once, the others when the sweep is started again. A run that diverges or
    raises is reported in the table and stops no other.

    ``auto`` is cuda where this machine has a GPU.

    Raises FileExistsError and TakenError (a ValueError) as `opened` does, and ValueError as `opened` and `ray_cluster`
    do, for numbers out of range and for a precision that the CPU lacks.
    """
    began = time.monotonic()
    if device not in DEVICES:
        raise unknown_name("device", device, DEVICES)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    resources = Resources(jobs=jobs, cpus=cpus_per_run, gpus=gpus_per_run if device == "cuda" else 0.0)
    if device == "cpu":
        check_precision(sweep.precision, device)  # of a GPU elsewhere its own worker knows
    manner = Manner(device=device, threads=cpus_per_run, precision=sweep.precision, compile=sweep.compile)
    with opened(sweep, Path(folder).resolve()) as place:
        _do_missing(sweep, place, address, resources, manner)
        tables = collect(sweep, place)
        report = write_report(sweep, tables, command=command, began=began, device=torch.device(device))
        _write(place.path, tables.results, tables.analyses, report)
    return SweepResult(folder=place.path, results=tables.results, tables=tables.analyses, report=report)


def _do_missing(sweep: Sweep, place: SweepFolder, address: str | None, resources: Resources, manner: Manner) -> None:
    missing = [run for run in sweep.runs if place.status(run, sweep)[0] not in ("finished", "diverged")]
    if not missing:
        return
    done = len(sweep.runs) - len(missing)
    with (
        ray_cluster(address, resources) as ray,
        track(f"sweep {sweep.name}", len(sweep.runs), start=done) as tracker,
        closing(do_all(ray, missing, resources, do_run, sweep.analyses, place, manner)) as results,
    ):
        for run, failure in results:
            if failure:
                place.write_outcome(run, Outcome("failed", failure))
            tracker.advance(run.name)


def _write(path: Path, results: pd.DataFrame, tables: dict[str, pd.DataFrame], report: Report) -> None:
    write_atomically(path / "results.csv", results.to_csv(index=False))
    for kind, table in tables.items():
        write_atomically(path / f"{kind}.csv", table.to_csv(index=False))
    (path / "figures").mkdir(exist_ok=True)
    for figure in report.figures:
        # Inline, text takes the page's colour; in a file of its own, black.
        write_atomically(path / "figures" / f"{figure.table.replace(' ', '-')}.svg", figure.svg)
    report.write(path / "report.html", path / "report.json")
