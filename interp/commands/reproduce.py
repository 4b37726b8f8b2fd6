"""``interp reproduce``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.markup import escape

from interp._devices import resolve_device
from interp._names import unknown_name
from interp.commands._common import COLORS, Device, console, say
from interp.report.render import show
from interp.reproduce import FIGURES, Lab, reproduce
from interp.reproduce.reproduction import check_places


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""

    def command(
        figure: Annotated[
            str | None, tyro.conf.Positional, tyro.conf.arg(metavar="FIGURE", help="A name that --list shows.")
        ] = None,
        list: Annotated[bool, tyro.conf.arg(help="Name the figures, and stop.")] = False,
        quick: Annotated[bool, tyro.conf.arg(help="Fewer seeds, updates, prompts: minutes on 2 cores.")] = False,
        seeds: Annotated[int, tyro.conf.arg(help="Runs of each recipe; 0 leaves it to the figure.")] = 0,
        out: Annotated[Path, tyro.conf.arg(help="Folder for FIGURE.svg, .pdf, .csv and .json.")] = Path("figures"),
        runs: Annotated[Path, tyro.conf.arg(help="Folder where trainings are kept, and found again.")] = Path("runs"),
        jobs: Annotated[int, tyro.conf.arg(help="Trainings at a time; 0 for one on each core.")] = 0,
        seed: Annotated[int, tyro.conf.arg(help="Seed of the evaluation prompts.")] = 0,
        device: Device = "cpu",
        force: Annotated[bool, tyro.conf.arg(help="Replace files that are not reproductions of ours.")] = False,
    ) -> None:
        """Compute a published figure anew: train or load what it needs, draw it, judge the paper's claims."""
        if list:
            width = max(map(len, FIGURES))
            for name, shows in FIGURES.items():
                say(f"{name:<{width}}  {shows}")
            return
        if figure is None or figure not in FIGURES:
            raise unknown_name("figure", figure or "", FIGURES)
        check_places(out, figure, force=force)
        lab = Lab(quick=quick, seeds=seeds, folder=runs, jobs=jobs, device=str(resolve_device(device)), seed=seed)
        result = reproduce(figure, lab)
        paths = result.write(out, force=force)
        for finding in result.findings:
            low, high = finding.ci
            console().print(
                f"[{COLORS[finding.verdict]}]{finding.verdict:<12}[/] {escape(finding.claim)}: "
                f"{show(finding.estimate)} {escape(f'[{show(low)}, {show(high)}]')} [dim]{escape(finding.id)}[/]",
                soft_wrap=True,
            )
        counts = ", ".join(f"{number} {verdict}" for verdict, number in result.verdicts.items())
        say(f"{counts}. Wrote {', '.join(str(path) for path in paths)}.")

    tyro.cli(command, prog="interp reproduce", args=arguments)
