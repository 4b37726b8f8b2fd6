"""``interp bench``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from interp.bench import PARTS, run_bench, to_table
from interp.commands._common import CsvPath, Device, Force, JsonPath, check_table_places, print_table, write_tables


def bench(
    parts: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(help="What to measure; everything unless given.")
    ] = tuple(PARTS),
    repeats: Annotated[int, tyro.conf.arg(help="Repetitions; medians are shown.")] = 3,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Measure speed, ours beside a plain way, in one process; prints medians and ratios."""
    check_table_places(out, json, force=force)
    table = to_table(run_bench(parts, device=device, repeats=repeats))
    write_tables({"bench": table}, out, json)
    print_table(table, "Ours beside the plain way")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(bench, prog="interp bench", args=arguments)
