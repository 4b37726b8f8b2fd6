"""``interp bench``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from interp._usage import UsageError
from interp.bench import PARTS, run_bench, to_table
from interp.commands._common import (
    CsvPath,
    Device,
    Force,
    JsonPath,
    check_outputs,
    print_table,
    write_figure,
    write_tables,
)


def bench(
    parts: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(help="What to measure; everything unless given.")
    ] = tuple(PARTS),
    repeats: Annotated[int, tyro.conf.arg(help="Repetitions; medians are shown.")] = 3,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    figure: Annotated[
        Path | None, tyro.conf.arg(help="Draw how the time of a match grows (part growth) into this file.")
    ] = None,
    force: Force = False,
) -> None:
    """Measure speed, ours beside a plain way, in one process; prints medians and ratios."""
    check_outputs(out, json, figure, force=force)
    if figure is not None and "growth" not in parts:
        raise UsageError(f"--figure draws part growth, which is not among those to measure: {', '.join(parts)}.")
    comparisons = run_bench(parts, device=device, repeats=repeats)
    table = to_table(comparisons)
    write_tables({"bench": table}, out, json)
    if figure is not None:
        from interp.bench.growth import draw_growth

        write_figure(draw_growth(comparisons), figure)
    print_table(table, "Ours beside the plain way")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(bench, prog="interp bench", args=arguments)
