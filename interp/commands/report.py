"""``interp report``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.markup import escape

from interp.commands._common import (
    COLORS,
    Contexts,
    Device,
    Model,
    Period,
    Queries,
    Seed,
    Sequences,
    Solvers,
    command_line,
    console,
    load_any_on,
    say,
)
from interp.matching.families import DEFAULT_FAMILIES
from interp.models.regressor import RegressionModel
from interp.report.build import ReportOptions, build
from interp.report.document import check_places
from interp.report.language.options import LanguageReportOptions
from interp.report.render import show


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""

    def report(
        model: Model,
        out: Annotated[Path, tyro.conf.arg(help="The HTML file to write.")] = Path("report.html"),
        json: Annotated[Path | None, tyro.conf.arg(help="The JSON file; beside the HTML unless given.")] = None,
        n_prompts: Contexts = 512,
        n_queries: Queries = 32,
        solvers: Solvers = DEFAULT_FAMILIES,
        n_sequences: Sequences = 16,
        period: Period = 50,
        seed: Seed = 0,
        device: Device = "cpu",
        force: Annotated[bool, tyro.conf.arg(help="Replace files that are not reports of ours.")] = False,
    ) -> None:
        """Analyse a model and write an interpretability report (HTML and JSON)."""
        json_path = json or out.with_suffix(".json")
        check_places(out, json_path, force=force)
        options = ReportOptions(n_prompts=n_prompts, n_queries=n_queries, seed=seed, solvers=tuple(solvers))
        of_language = LanguageReportOptions(n_sequences=n_sequences, period=period, seed=seed)
        subject, command = load_any_on(model, device), command_line("report", arguments)
        if isinstance(subject, RegressionModel):
            result = build(subject, options=options, command=command)
        else:
            from interp.report.language.build import build_language  # takes seconds to import

            result = build_language(subject, options=of_language, command=command)
        result.write(out, json_path, force=force)
        for finding in result.findings:
            mark = f"[{COLORS[finding.verdict]}]{finding.verdict:<12}[/]"
            console().print(
                f"{mark} {escape(finding.claim)}: {show(finding.estimate)} [dim]{escape(finding.id)}[/]", soft_wrap=True
            )
        counts = Counter(finding.verdict for finding in result.findings)
        say(f"{', '.join(f'{number} {verdict}' for verdict, number in counts.items())}. Wrote {out} and {json_path}.")

    tyro.cli(report, prog="interp report", args=arguments)
