"""``interp match``."""

from collections.abc import Sequence
from typing import Annotated, Literal

import pandas as pd
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
from interp.matching import judge_layers, match_layers
from interp.matching.families import DEFAULT_FAMILIES


def match(
    model: Model,
    solvers: Annotated[
        tuple[str, ...],
        tyro.conf.arg(help="Candidates: names, or names with fixed parameters such as gd:lr=0.02,normalize=sum."),
    ] = DEFAULT_FAMILIES,
    steps: Annotated[tuple[int, ...], tyro.conf.arg(help="Step counts to try; each solver's own unless given.")] = (),
    measure: Annotated[Literal["errors", "weights"], tyro.conf.arg(help="What is compared.")] = "errors",
    readout: Annotated[
        Literal["auto", "native", "refitted"], tyro.conf.arg(help="How a layer's prediction is read.")
    ] = "auto",
    n_prompts: Contexts = 512,
    n_queries: Queries = 32,
    seed: Seed = 0,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Compare every layer of a model with the iterates of known algorithms."""
    check_table_places(out, json, force=force)
    subject = load_on(model, device)
    prompts = subject.task.sample(n_prompts, seed=seed)
    table = match_layers(
        subject,
        prompts,
        solvers,
        steps=steps or None,
        measure=measure,
        readout=readout,
        n_queries=n_queries,
        seed=seed,
    )
    verdicts = pd.DataFrame([_row(verdict) for verdict in judge_layers(table)])
    write_tables({"match": table, "verdicts": verdicts}, out, json)
    best = table[table["best"]]
    print_table(
        best[["layer", "solver", "step", "similarity", "ci_low", "ci_high", "r2", "skill", "hyperparameters"]],
        "Best matches",
    )
    print_table(verdicts[["layer", "solver", "step", "similarity", "alternatives", "verdict", "reason"]], "Verdicts")


def _row(verdict: object) -> dict[str, object]:
    row = dict(vars(verdict))
    for name in ("ci", "skill_ci"):
        row[f"{name}_low"], row[f"{name}_high"] = row.pop(name)
    for prefix in ("controls", "control_skills"):
        row |= {f"{prefix}: {name}": value for name, value in row.pop(prefix).items()}
    row["alternatives"] = ", ".join(row["alternatives"])
    return row


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(match, prog="interp match", args=arguments)
