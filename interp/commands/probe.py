"""``interp probe``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from interp._devices import resolve_device
from interp._precision import computing_in
from interp.commands._common import (
    BatchSize,
    Contexts,
    CsvPath,
    Device,
    Force,
    InPrecision,
    JsonPath,
    Model,
    Queries,
    Seed,
    check_outputs,
    load_on,
    print_table,
    write_tables,
)
from interp.matching import TARGETS, probe_layers
from interp.tasks import PromptStream


def probe(
    model: Model,
    targets: Annotated[tuple[str, ...], tyro.conf.arg(help="What to read for: next_y, w, w_ols, xty.")] = tuple(
        TARGETS
    ),
    n_prompts: Contexts = 512,
    n_queries: Queries = 32,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    device: Device = "cpu",
    precision: InPrecision = "fp32",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Fit linear readouts of every layer, with controls; memory does not grow with the number of contexts."""
    check_outputs(out, json, force=force)
    subject = load_on(model, device)
    prompts = PromptStream(subject.task, n_prompts, seed)
    with computing_in(precision, resolve_device(device)):
        table = probe_layers(subject, prompts, targets, n_queries=n_queries, seed=seed, batch_size=batch_size)
    write_tables({"readouts": table}, out, json)
    print_table(table, "Held-out scores of linear readouts")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(probe, prog="interp probe", args=arguments)
