"""The page that compares the runs of a sweep."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from interp._records import to_record
from interp.report.chapter import count_of
from interp.report.document import Figure, Report, Section
from interp.report.finding import Finding
from interp.report.provenance import describe_environment
from interp.report.render import to_svg
from interp.sweeps.analyses import AbstractAnalysis
from interp.sweeps.collect import SweepTables
from interp.sweeps.figures import draw_spread
from interp.sweeps.plan import Sweep, show_field
from interp.sweeps.spread import Contrast, contrast, spread_over_seeds

CAPTION = (
    "Dots are means over the seeds of finished runs, bars reach from the lowest seed to the highest. A line for each "
    "combination of the other swept fields{apart}."
)


def write_report(sweep: Sweep, tables: SweepTables, *, command: str, began: float, device: torch.device) -> Report:
    """Compare the runs: a finding for each ordered field that has seeds to bear one out, figures, and all tables."""
    counts = Counter(tables.results["status"])
    sections = [
        Section(
            title="The runs",
            introduction="Every run with the fields it has, how it ended, and its numbers. Runs that diverged or "
            "failed are in no figure and no finding.",
            tables=("results",),
        )
    ]
    shown = {"results": tables.results, **tables.analyses}
    for analysis in sweep.analyses:
        if analysis.kind in tables.analyses:
            figures = list(_figures(sweep, analysis, tables.results))
            shown |= {figure.table: table for figure, table in figures}
            sections.append(
                Section(
                    title=analysis.title,
                    introduction=analysis.introduction,
                    figures=tuple(figure for figure, _ in figures),
                    tables=(analysis.kind,),
                )
            )
    return Report(
        model={
            "name": sweep.name,
            "summary": f"A sweep of {count_of(len(sweep.runs), 'run')} of the recipe {sweep.recipe.name} over "
            f"{', '.join((*sweep.swept, 'seed'))}: {', '.join(f'{n} {status}' for status, n in counts.items())}."
            f"{_in_all_of_them(sweep)}",
            "source": "sweep",
            "config": None,
            "task": None,
            "recipe": sweep.shared,
        },
        environment=describe_environment(
            command,
            began,
            device,
            precision=sweep.precision + (", compiled" if sweep.compile else ""),
            seeds=", ".join(str(seed) for seed in sweep.seeds),
            analyses="; ".join(_options(analysis) for analysis in sweep.analyses),
        ),
        findings=tuple(_findings(sweep, tables.results)),
        tables=shown,
        sections=tuple(sections),
    )


def _options(analysis: AbstractAnalysis) -> str:
    options = ", ".join(f"{name} {value}" for name, value in to_record(analysis).items())
    return f"{analysis.kind} ({options})"


def _in_all_of_them(sweep: Sweep) -> str:
    """A sentence with the fields that are the same in all runs and not as the recipe has them, if there are any."""
    usual = dict(_leaves(to_record(sweep.recipe)))
    fixed = [
        f"{name} {show_field(value)}"
        for name, value in _leaves(sweep.shared)
        if name not in usual or usual[name] != value
    ]
    return f" In all of them: {', '.join(fixed)}." if fixed else ""


def _leaves(record: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _figures(sweep: Sweep, analysis: AbstractAnalysis, results: pd.DataFrame) -> Iterator[tuple[Figure, pd.DataFrame]]:
    """A drawing with its numbers for each number of an analysis and each swept field."""
    for number, label in analysis.drawn.items():
        control, control_label = analysis.drawn_beside.get(number, (None, ""))
        apart = analysis.drawn_apart.get(number)
        for field, *with_it in sweep.axes if number in results else ():
            others = [*_others(sweep, field), *([apart] if apart else [])]
            table = spread_over_seeds(results, field, others, number, control if control in results else None)
            if table[field].nunique() > 1:
                name = f"{number} by {field}"
                hollow = f" Hollow dots: {control_label}." if "control" in table else ""
                drawing = draw_spread(
                    table,
                    label,
                    field_label=", ".join((field, *with_it)),
                    control_label=control_label,
                    may_be_log=number in analysis.drawn_log,
                )
                figure = Figure(
                    title=f"{label[0].upper()}{label[1:]} by {field}",
                    caption=CAPTION.format(apart=f", and {apart}" if apart else "") + hollow + _along(field, with_it),
                    svg=to_svg(drawing),
                    table=name,
                )
                yield figure, table


def _others(sweep: Sweep, field: str) -> list[str]:
    """One field of each other axis."""
    return [lead for lead, *_ in sweep.axes if lead != field]


def _along(field: str, with_it: Sequence[str]) -> str:
    return f" In these runs {', '.join(with_it)} only ever changed together with {field}." if with_it else ""


def _findings(sweep: Sweep, results: pd.DataFrame) -> Iterator[Finding]:
    for field, *with_it in sweep.axes if "loss" in results else ():
        found = contrast(results, field, _others(sweep, field), "loss")
        untrained = contrast(results, field, _others(sweep, field), "loss_untrained")
        if found is not None and untrained is not None:
            yield _falls(field, with_it, found, untrained)


def _falls(field: str, with_it: Sequence[str], found: Contrast, untrained: Contrast) -> Finding:
    lost_at_start, lost_at_end = found.diverged
    below = found.ratio.high < min(1.0, untrained.ratio.low)
    above = found.ratio.low > 1.0
    lost = (
        f"; runs that diverged, {lost_at_start} at {found.start:g} and {lost_at_end} at {found.end:g}, are in no "
        "ratio, and an end that has some does not win"
        if any(found.diverged)
        else ""
    )
    return Finding(
        id=f"learned.loss_by.{field}",
        claim=f"From {field} {found.start:g} to {found.end:g} the held-out loss falls",
        statistic="loss_ratio",
        estimate=found.ratio.estimate,
        ci=(found.ratio.low, found.ratio.high),
        controls={"random_init": untrained.ratio.estimate},
        verdict="supported"
        if below and not lost_at_end
        else "refuted"
        if above and not lost_at_start
        else "inconclusive",
        reason=f"the ratio of the losses, end to start, over {len(found.per_seed)} seeds (Student's t interval of its "
        "logarithm), other fields being equal; supported when the interval lies below 1 and below that of the "
        f"same models before training, refuted when above 1{lost}.{_along(field, with_it)}".removesuffix("."),
        details={
            "per seed": list(found.per_seed.values()),
            "seeds": list(found.per_seed),
            "combinations of other fields": found.settings,
            "diverged at either end": list(found.diverged),
        },
    )
