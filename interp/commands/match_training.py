"""``interp match --over-training``."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from interp.commands._common import print_table, say, write_figure, write_tables
from interp.matching import align_over_training, find_turn
from interp.matching.descents import best_descents
from interp.matching.over_training import MEASURES
from interp.matching.readouts import ask_many_queries
from interp.models.folders import describe_model
from interp.models.transformer import RegressionTransformer
from interp.report.curves import draw_training
from interp.report.training import say_turn
from interp.training import checkpoint_steps
from probes import Interval


def follow_training(
    subject: RegressionTransformer,
    n_prompts: int,
    n_queries: int,
    seed: int,
    *,
    figure: Path | None,
    out: Path | None,
    json: Path | None,
) -> None:
    """Print the alignment of every checkpoint and the turn, where there is one; write tables and figure where asked.

    Raises ValueError for a model without checkpoints.
    """
    info = describe_model(subject)
    if info.folder is None or not checkpoint_steps(info.folder):
        raise ValueError(
            f"{info.name} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
        )
    prompts = ask_many_queries(subject, subject.task.sample(n_prompts, seed=seed), n_queries, seed)
    descents = best_descents(subject, prompts)
    solvers = {name: tuned.solver for name, tuned in descents.items()}
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
    write_tables({"training": table, "turn": turns}, out, json)
    if figure is not None:
        write_figure(draw_training(table, {name: tuned.loss for name, tuned in descents.items()}, turn), figure)


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
