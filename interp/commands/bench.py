"""``interp bench``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from interp.bench import PARTS, run_bench, to_table
from interp.commands._common import check_table_places, print_table, write_tables


def bench(
    parts: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(help="What to measure; everything unless given.")
    ] = tuple(PARTS),
    repeats: Annotated[int, tyro.conf.arg(help="Repetitions; medians are shown.")] = 3,
    device: Annotated[str, tyro.conf.arg(help="cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, tyro.conf.arg(help="Write the table to this CSV file.")] = None,
    json: Annotated[Path | None, tyro.conf.arg(help="Write the table to this JSON file.")] = None,
    force: Annotated[bool, tyro.conf.arg(help="Replace existing files.")] = False,
) -> None:
    """Measure speed, ours beside a plain way, in one process; prints medians and ratios."""
    check_table_places(out, json, force=force)
    table = to_table(run_bench(parts, device=device, repeats=repeats))
    write_tables({"bench": table}, out, json)
    print_table(table, "Ours beside the plain way")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(bench, prog="interp bench", args=arguments)
