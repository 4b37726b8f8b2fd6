"""``interp probe``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from interp.commands._common import (
    Contexts,
    CsvPath,
    Device,
    Force,
    JsonPath,
    Model,
    Queries,
    Seed,
    check_table_places,
    load_on,
    print_table,
    write_tables,
)
from interp.matching import TARGETS, probe_layers


def probe(
    model: Model,
    targets: Annotated[tuple[str, ...], tyro.conf.arg(help="What to read for: next_y, w, w_ols, xty.")] = tuple(
        TARGETS
    ),
    n_prompts: Contexts = 512,
    n_queries: Queries = 32,
    seed: Seed = 0,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
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
