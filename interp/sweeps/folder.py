"""The folder of a sweep: what it was asked for, and what there is of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from interp._files import write_atomically
from interp._records import to_record
from interp.models.folders import WEIGHTS
from interp.report.document import table_records
from interp.sweeps.analyses import AbstractAnalysis, Measured
from interp.sweeps.lock import locked
from interp.sweeps.plan import PlannedRun, Sweep

SCHEMA = "interp-sweep/1"
RECORD, LOCK = "sweep.json", "sweep.lock"

Status = Literal["finished", "diverged", "failed", "unfinished"]


@dataclass(frozen=True)
class Outcome:
    """How a run that did not finish ended."""

    status: Literal["diverged", "failed"]
    reason: str


@dataclass(frozen=True)
class SweepFolder:
    """Where everything of a sweep lies."""

    path: Path

    def run(self, run: PlannedRun) -> Path:
        """The folder of a run."""
        return self.path / "runs" / run.name

    def lock(self, run: PlannedRun) -> Path:
        """The lock of a run, which is beside its folder: that is made and checked by the training."""
        return self.path / "state" / f"{run.name}.lock"

    def status(self, run: PlannedRun, sweep: Sweep) -> tuple[Status, str]:
        """What became of a run, and the reason where it ended early."""
        if (self.run(run) / WEIGHTS).is_file() and all(
            self._analysis(run, analysis).is_file() for analysis in sweep.analyses
        ):
            return "finished", ""
        path = self._outcome(run)
        if path.is_file():
            outcome = Outcome(**json.loads(path.read_text()))
            return outcome.status, outcome.reason
        return "unfinished", ""

    def write_outcome(self, run: PlannedRun, outcome: Outcome | None, trace: str = "") -> None:
        """Note how a run ended, with a traceback beside it if there is one; or, with None, that it goes on."""
        for path in (self._outcome(run), self.trace(run)):
            path.unlink(missing_ok=True)
        if trace:
            write_atomically(self.trace(run), trace)
        if outcome is not None:
            write_atomically(self._outcome(run), json.dumps(vars(outcome), indent=1) + "\n")

    def trace(self, run: PlannedRun) -> Path:
        """Where a run that failed says in which line."""
        return self.path / "state" / f"{run.name}.traceback"

    def read_analysis(self, run: PlannedRun, analysis: AbstractAnalysis) -> Measured | None:
        """What an analysis found in a run; None where it was not done."""
        path = self._analysis(run, analysis)
        if not path.is_file():
            return None
        content = json.loads(path.read_text())
        return Measured(numbers=content["numbers"], table=pd.DataFrame(content["table"], columns=content["columns"]))

    def write_analysis(self, run: PlannedRun, analysis: AbstractAnalysis, measured: Measured) -> None:
        """Keep what an analysis found in a run."""
        content = {
            "analysis": analysis.kind,
            "options": to_record(analysis),
            "numbers": measured.numbers,
            "columns": [str(column) for column in measured.table.columns],
            "table": table_records(measured.table),
        }
        path = self._analysis(run, analysis)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def _analysis(self, run: PlannedRun, analysis: AbstractAnalysis) -> Path:
        return self.run(run) / "analyses" / f"{analysis.kind}.json"

    def _outcome(self, run: PlannedRun) -> Path:
        return self.path / "state" / f"{run.name}.json"


@contextmanager
def opened(sweep: Sweep, path: Path) -> Iterator[SweepFolder]:
    """Hold the folder of a sweep, and note there what is asked for.

    A sweep may go on with more runs and analyses than it had, not with fewer or others. Raises FileExistsError for a
    folder with other things in it, TakenError where another process runs a sweep there, ValueError for a sweep that
    contradicts the one that is there. What fails before any run began leaves no note, and another sweep may have the
    folder.
    """
    if path.exists() and (
        not path.is_dir() or (any(path.iterdir()) and not (path / LOCK).is_file() and not (path / RECORD).is_file())
    ):
        raise FileExistsError(f"{path} exists and is not a sweep of ours; give another --out.")
    for folder in (path, path / "runs", path / "state"):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(path / LOCK, f"The sweep in {path}"):
        record = {"schema": SCHEMA, **sweep.to_record()}
        if (path / RECORD).is_file():
            _check_goes_on(path, record)
        write_atomically(path / RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")
        try:
            yield SweepFolder(path)
        except BaseException:
            if not any((path / "runs").iterdir()) and not any((path / "state").iterdir()):
                (path / RECORD).unlink()
            raise


def _check_goes_on(path: Path, asked: dict[str, Any]) -> None:
    """Raise ValueError unless everything that a folder was asked for is still asked for."""
    try:
        there = json.loads((path / RECORD).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path / RECORD} is not valid JSON ({error}); restore it, or give another --out.") from None
    if there.get("schema") != SCHEMA:
        raise ValueError(
            f"{path / RECORD} has schema {there.get('schema')!r}, this version reads {SCHEMA!r}; give another --out."
        )
    fixed = ("name", "recipe", "precision", "compile")
    changed = [f"{key} {there[key]!r} there, {asked[key]!r} here" for key in fixed if there[key] != asked[key]]
    for kind, options in there["analyses"].items():
        now = asked["analyses"].get(kind)
        if now is None:
            changed.append(f"analysis {kind!r} there, not here")
        elif now != options:
            names = [option for option in {**options, **now} if options.get(option) != now.get(option)]
            changed += [f"{kind} {name} {options.get(name)!r} there, {now.get(name)!r} here" for name in names]
    runs = {run["name"]: run for run in asked["runs"]}
    for run in there["runs"]:
        if run["name"] not in runs:
            changed.append(f"run {run['name']} there, not here")
        elif runs[run["name"]]["recipe"] != run["recipe"]:
            changed.append(f"run {run['name']} of another recipe")
    if changed:
        more = f" and {len(changed) - 3} more differences" if len(changed) > 3 else ""
        raise ValueError(
            f"{path} holds a sweep that this one contradicts ({'; '.join(changed[:3])}{more}). Only runs and analyses "
            "may be added; take the change back, or give another --out."
        )
