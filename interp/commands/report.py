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
    refuse_options,
    say,
)
from interp.matching.families import DEFAULT_FAMILIES
from interp.models.regressor import RegressionModel
from interp.report.build import ReportOptions, build
from interp.report.document import check_places
from interp.report.language.options import LanguageReportOptions
from interp.report.render import show

N_PROMPTS, N_QUERIES, N_SEQUENCES, PERIOD = 512, 32, 16, 50
"""What options are unless they are given."""


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""

    def report(
        model: Model,
        out: Annotated[Path, tyro.conf.arg(help="The HTML file to write.")] = Path("report.html"),
        json: Annotated[Path | None, tyro.conf.arg(help="The JSON file; beside the HTML unless given.")] = None,
        n_prompts: Contexts = N_PROMPTS,
        n_queries: Queries = N_QUERIES,
        solvers: Solvers = DEFAULT_FAMILIES,
        n_sequences: Sequences = N_SEQUENCES,
        period: Period = PERIOD,
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
            given = {"--n-sequences": n_sequences != N_SEQUENCES, "--period": period != PERIOD}
            refuse_options("models of in-context regression", given)
            result = build(subject, options=options, command=command)
        else:
            given = {"--n-prompts": n_prompts != N_PROMPTS, "--n-queries": n_queries != N_QUERIES}
            refuse_options("language models", {**given, "--solvers": tuple(solvers) != DEFAULT_FAMILIES})
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
