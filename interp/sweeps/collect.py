"""From the folder of a sweep to tables."""

from dataclasses import dataclass

import pandas as pd

from interp.sweeps.folder import SweepFolder
from interp.sweeps.plan import PlannedRun, Sweep, show_field
from interp.training.metrics import read_metrics


@dataclass(frozen=True)
class SweepTables:
    """What all runs gave. Depends on nothing but what was asked for: not on the order of runs, nor on interruptions."""

    results: pd.DataFrame
    """One row per run: run, the swept fields, seed, status (finished, diverged, failed, unfinished), reason,
    training_loss (the last one logged), and the numbers of every analysis."""
    analyses: dict[str, pd.DataFrame]
    """The table of every analysis that a run has, with the columns run, the swept fields and seed in front."""


def collect(sweep: Sweep, folder: SweepFolder) -> SweepTables:
    """Read all that there is."""
    rows, tables = [], {analysis.kind: list[pd.DataFrame]() for analysis in sweep.analyses}
    for run in sweep.runs:
        status, reason = folder.status(run, sweep)
        metrics = read_metrics(folder.run(run))
        who = _columns_of(run)
        row = {
            **who,
            "status": status,
            "reason": reason,
            "training_loss": metrics[-1]["loss"] if metrics else None,
        }
        for analysis in sweep.analyses:
            measured = folder.read_analysis(run, analysis)
            if measured is not None:
                row |= measured.numbers
                table = measured.table
                for place, (name, value) in enumerate(who.items()):
                    table.insert(place, name, value)
                tables[analysis.kind].append(table)
        rows.append(row)
    joined = {kind: pd.concat(parts, ignore_index=True) for kind, parts in tables.items() if parts}
    return SweepTables(pd.DataFrame(rows), joined)


def _columns_of(run: PlannedRun) -> dict[str, int | float | str]:
    shown = {name: value if isinstance(value, int | float) else show_field(value) for name, value in run.fields.items()}
    return {"run": run.name, **shown, "seed": run.seed}
