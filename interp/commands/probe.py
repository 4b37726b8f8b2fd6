"""``interp probe``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from interp.commands._common import Model, check_table_places, load_on, print_table, write_tables
from interp.matching import TARGETS, probe_layers


def probe(
    model: Model,
    targets: Annotated[tuple[str, ...], tyro.conf.arg(help="What to read for: next_y, w, w_ols, xty.")] = tuple(
        TARGETS
    ),
    n_prompts: Annotated[int, tyro.conf.arg(help="Contexts, half to fit on, half to score on.")] = 512,
    n_queries: Annotated[
        int, tyro.conf.arg(help="Queries of each context, for models that predict the query alone.")
    ] = 32,
    seed: Annotated[int, tyro.conf.arg(help="Seed of the prompts.")] = 0,
    device: Annotated[str, tyro.conf.arg(help="cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, tyro.conf.arg(help="Write the table to this CSV file.")] = None,
    json: Annotated[Path | None, tyro.conf.arg(help="Write the table to this JSON file.")] = None,
    force: Annotated[bool, tyro.conf.arg(help="Replace existing files.")] = False,
) -> None:
    """Fit linear readouts of every layer, with controls."""
    check_table_places(out, json, force=force)
    subject = load_on(model, device)
    table = probe_layers(subject, subject.task.sample(n_prompts, seed=seed), targets, n_queries=n_queries, seed=seed)
    write_tables({"readouts": table}, out, json)
    print_table(table, "Held-out scores of linear readouts")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(probe, prog="interp probe", args=arguments)
