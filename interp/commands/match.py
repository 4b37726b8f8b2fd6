"""``interp match``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import tyro

from interp._devices import resolve_device
from interp._precision import computing_in
from interp._usage import UsageError
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
    Solvers,
    check_outputs,
    load_on,
    print_table,
    write_figure,
    write_tables,
)
from interp.commands.match_training import follow_training
from interp.matching import judge_layers, match_layers
from interp.matching.families import DEFAULT_FAMILIES
from interp.report.figures import draw_match
from interp.tasks import PromptStream


def match(
    model: Model,
    solvers: Solvers = DEFAULT_FAMILIES,
    steps: Annotated[tuple[int, ...], tyro.conf.arg(help="Step counts to try; each solver's own unless given.")] = (),
    measure: Annotated[
        Literal["errors", "weights", "response"],
        tyro.conf.arg(help="What is compared: errors, induced weights, or spectral responses."),
    ] = "errors",
    readout: Annotated[
        Literal["auto", "native", "refitted"], tyro.conf.arg(help="How a layer's prediction is read.")
    ] = "auto",
    over_training: Annotated[
        bool,
        tyro.conf.arg(
            help="Instead, align the checkpoints of a run with tuned gd and gd++, as many steps as it has layers."
        ),
    ] = False,
    n_prompts: Contexts = 512,
    n_queries: Queries = 32,
    batch_size: BatchSize = None,
    seed: Seed = 0,
    device: Device = "cpu",
    precision: InPrecision = "fp32",
    figure: Annotated[
        Path | None,
        tyro.conf.arg(help="Draw the heat maps, or the course of training, to this SVG, PDF or PNG file."),
    ] = None,
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Compare every layer of a model with the iterates of known algorithms."""
    check_outputs(out, json, figure, force=force)
    if over_training:
        if (tuple(solvers), steps, measure, readout, batch_size) != (DEFAULT_FAMILIES, (), "errors", "auto", None):
            raise UsageError(
                "--over-training aligns the last layer with tuned gd and gd++; leave --solvers, --steps, --measure, "
                "--readout and --batch-size out."
            )
        with computing_in(precision, resolve_device(device)):
            follow_training(load_on(model, device), n_prompts, n_queries, seed, figure=figure, out=out, json=json)
        return
    subject = load_on(model, device)
    with computing_in(precision, resolve_device(device)):
        table = match_layers(
            subject,
            PromptStream(subject.task, n_prompts, seed),
            solvers,
            steps=steps or None,
            measure=measure,
            readout=readout,
            n_queries=n_queries,
            seed=seed,
            batch_size=batch_size,
        )
    verdicts = pd.DataFrame([_row(verdict) for verdict in judge_layers(table)])
    write_tables({"match": table, "verdicts": verdicts}, out, json)
    if figure is not None:
        write_figure(draw_match(table), figure)
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
