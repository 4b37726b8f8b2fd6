"""``interp sweep``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.markup import escape

from interp.commands._common import COLORS, Device, command_line, console, print_table, say
from interp.report.render import show
from interp.sweeps import load_sweep, run_sweep


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""

    def sweep(
        file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="What to run (TOML).")],
        out: Annotated[
            Path | None, tyro.conf.arg(help="Folder of the sweep; sweeps/NAME unless given. A sweep there goes on.")
        ] = None,
        address: Annotated[
            str | None, tyro.conf.arg(help="Ray cluster, host:port or auto; this machine alone unless given.")
        ] = None,
        jobs: Annotated[int, tyro.conf.arg(help="Runs at a time; 0 for as many as the machines hold.")] = 0,
        cpus_per_run: Annotated[int, tyro.conf.arg(help="Cores, and threads, of a run.")] = 1,
        gpus_per_run: Annotated[float, tyro.conf.arg(help="GPUs of a run on cuda; below 1, runs share one.")] = 1.0,
        device: Device = "cpu",
    ) -> None:
        """Train and analyse many runs of a recipe, over fields and seeds, into one table and a report."""
        plan = load_sweep(file)
        result = run_sweep(
            plan,
            out or Path("sweeps") / plan.name,
            address=address,
            jobs=jobs,
            cpus_per_run=cpus_per_run,
            gpus_per_run=gpus_per_run,
            device=device,
            command=command_line("sweep", arguments),
        )
        numbers = [
            name
            for analysis in plan.analyses
            for number in analysis.drawn
            if number in result.results
            for name in (analysis.drawn_apart.get(number), number)
            if name is not None
        ]
        print_table(result.results[[*plan.swept, "seed", "status", "training_loss", *numbers]], plan.name)
        ended_early = result.results[result.results["reason"] != ""]
        for name, reason in ended_early[["run", "reason"]].itertuples(index=False):
            say(f"{name}: {reason}")
        for finding in result.report.findings:
            low, high = finding.ci
            console().print(
                f"[{COLORS[finding.verdict]}]{finding.verdict:<12}[/] {escape(finding.claim)}: "
                f"{show(finding.estimate)} {escape(f'[{show(low)}, {show(high)}]')} [dim]{escape(finding.id)}[/]",
                soft_wrap=True,
            )
        counts = ", ".join(f"{number} {status}" for status, number in Counter(result.results["status"]).items())
        say(f"{counts}. Wrote {result.folder / 'report.html'} and results.csv beside it.")
        failed = result.results[result.results["status"] == "failed"]
        if len(failed):
            first = failed.iloc[0]
            raise ValueError(
                f"{len(failed)} of {len(result.results)} runs failed, the first, {first['run']}, with: "
                f"{first['reason'].rstrip('.')}. Finished runs stay; the same command tries the failed ones again."
            )

    tyro.cli(sweep, prog="interp sweep", args=arguments)
