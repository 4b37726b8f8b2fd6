"""``interp zoo``."""

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from interp._files import check_output_file, write_atomically
from interp.models.zoo import zoo_entries

SHOWN = ("name", "parameters", "shows")
"""What fits on a terminal of 80 columns."""


def zoo(
    json: Annotated[
        Path | None, tyro.conf.arg(help="Also write the list to this file as JSON, with bytes, recipes and seeds.")
    ] = None,
    force: Annotated[bool, tyro.conf.arg(help="Replace an existing file.")] = False,
) -> None:
    """List the trained models that come with the toolkit: names, sizes, what each shows."""
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "parameters": entry.n_parameters,
            "bytes": entry.n_bytes,
            "recipe": entry.recipe,
            "seed": entry.seed,
            "shows": entry.shows,
        }
        for entry in zoo_entries().values()
    ]
    table = Table()
    for column in SHOWN:
        table.add_column(column, no_wrap=column == "name")  # a name is there to be copied
    for row in rows:
        table.add_row(*(str(row[column]) for column in SHOWN))
    if json is not None:
        check_output_file(json, ours=False, force=force)
        write_atomically(json, json_module.dumps(rows, indent=1) + "\n")
    Console(highlight=False).print(table)


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(zoo, prog="interp zoo", args=arguments)
