"""``interp match``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
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
    Solvers,
    check_figure_place,
    check_table_places,
    load_on,
    print_table,
    say,
    write_figure,
    write_tables,
)
from interp.matching import align_over_training, find_turn, judge_layers, match_layers
from interp.matching.descents import best_descents
from interp.matching.families import DEFAULT_FAMILIES
from interp.matching.over_training import MEASURES
from interp.matching.readouts import ask_many_queries
from interp.models.folders import describe_model
from interp.models.transformer import RegressionTransformer
from interp.report.figures import draw_match
from interp.report.training import say_turn
from interp.tasks import PromptStream
from interp.training import checkpoint_steps
from probes import Interval


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
        Path | None, tyro.conf.arg(help="Draw the heat maps, best steps boxed, to this SVG, PDF or PNG file.")
    ] = None,
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Compare every layer of a model with the iterates of known algorithms."""
    check_table_places(out, json, force=force)
    if figure is not None:
        check_figure_place(figure, force=force)
    if over_training:
        if (tuple(solvers), steps, measure, readout, batch_size) != (DEFAULT_FAMILIES, (), "errors", "auto", None):
            raise ValueError(
                "--over-training aligns the last layer with tuned gd and gd++; leave --solvers, --steps, --measure, "
                "--readout and --batch-size out."
            )
        with computing_in(precision, resolve_device(device)):
            tables = _follow(load_on(model, device), n_prompts, n_queries, seed)
        write_tables(tables, out, json)
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


def _follow(subject: RegressionTransformer, n_prompts: int, n_queries: int, seed: int) -> dict[str, pd.DataFrame]:
    """Print the alignment of every checkpoint and the turn, where there is one; return the tables."""
    info = describe_model(subject)
    if info.folder is None or not checkpoint_steps(info.folder):
        raise ValueError(
            f"{info.name} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
        )
    prompts = ask_many_queries(subject, subject.task.sample(n_prompts, seed=seed), n_queries, seed)
    solvers = {name: tuned.solver for name, tuned in best_descents(subject, prompts).items()}
    device = next(subject.parameters()).device
    table = align_over_training(info.folder, solvers, prompts, device=device)
    shown = table.drop_duplicates("update")[["update", "loss"]]
    for measure in MEASURES:
        for name in solvers:
            column = table.loc[table["solver"] == name, measure].to_numpy()
            shown = shown.assign(**{f"{measure.replace('_', ' ')}: {name}": column})
    print_table(shown, "Alignment over training")
    turn = find_turn(table) if "gd++" in solvers else None
    if turn is not None:
        say(f"In training it {say_turn(turn)}.")
    elif "gd++" in solvers:
        say("No turn from gd to gd++ that the intervals bear out.")
    turns = pd.DataFrame([] if turn is None else [_flat(vars(turn))])
    return {"training": table, "turn": turns}


def _flat(record: Mapping[str, object]) -> dict[str, object]:
    """One row of plain values: intervals and pairs become columns."""
    row: dict[str, object] = {}
    for name, value in record.items():
        if isinstance(value, Interval):
            row |= {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}
        elif isinstance(value, tuple):
            row |= {f"{name}_from": value[0], f"{name}_to": value[1]}
        else:
            row[name] = value
    return row


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
