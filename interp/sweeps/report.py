"""The page that compares the runs of a sweep."""

from collections import Counter
from collections.abc import Iterator

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
from interp.sweeps.plan import Sweep
from interp.sweeps.spread import Contrast, contrast, spread_over_seeds

CAPTION = (
    "Dots are means over the seeds of finished runs, bars reach from the lowest seed to the highest. A line for each "
    "combination of the other swept fields."
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
            f"{', '.join((*sweep.swept, 'seed'))}: {', '.join(f'{n} {status}' for status, n in counts.items())}.",
            "source": "sweep",
            "config": None,
            "task": None,
            "recipe": to_record(sweep.recipe),
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


def _others(sweep: Sweep, field: str) -> list[str]:
    return [other for other in sweep.swept if other != field]


def _figures(sweep: Sweep, analysis: AbstractAnalysis, results: pd.DataFrame) -> Iterator[tuple[Figure, pd.DataFrame]]:
    """A drawing with its numbers for each number of an analysis and each swept field."""
    for number, label in analysis.drawn.items():
        for field in sweep.swept if number in results else ():
            table = spread_over_seeds(results, field, _others(sweep, field), number)
            if table[field].nunique() > 1:
                name = f"{number} by {field}"
                figure = Figure(
                    title=f"{label[0].upper()}{label[1:]} by {field}",
                    caption=CAPTION,
                    svg=to_svg(draw_spread(table, label)),
                    table=name,
                )
                yield figure, table


def _findings(sweep: Sweep, results: pd.DataFrame) -> Iterator[Finding]:
    for field in sweep.swept if "loss" in results else ():
        found = contrast(results, field, _others(sweep, field), "loss")
        untrained = contrast(results, field, _others(sweep, field), "loss_untrained")
        if found is not None and untrained is not None:
            yield _falls(field, found, untrained)


def _falls(field: str, found: Contrast, untrained: Contrast) -> Finding:
    below = found.ratio.high < min(1.0, untrained.ratio.low)
    return Finding(
        id=f"learned.loss_by.{field}",
        claim=f"From {field} {found.start:g} to {found.end:g} the held-out loss falls",
        statistic="loss_ratio",
        estimate=found.ratio.estimate,
        ci=(found.ratio.low, found.ratio.high),
        controls={"random_init": untrained.ratio.estimate},
        verdict="supported" if below else "refuted" if found.ratio.low > 1.0 else "inconclusive",
        reason=f"the ratio of the losses, end to start, over {len(found.per_seed)} seeds (Student's t interval of its "
        "logarithm), other fields being equal; supported when the interval lies below 1 and below that of the "
        "same models before training, refuted when above 1",
        details={
            "per seed": list(found.per_seed.values()),
            "seeds": list(found.per_seed),
            "combinations of other fields": found.settings,
        },
    )
