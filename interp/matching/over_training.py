"""How a model came to align with its algorithm: the checkpoints of a run, one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from interp._progress import track
from interp.matching.alignment import align_all
from interp.matching.readouts import prompt_losses
from interp.solvers import AbstractSolver
from interp.tasks import Prompts
from interp.training import checkpoint_steps, load_checkpoint
from probes import Interval, bootstrap_mean

MEASURES = ("prediction_difference", "cosine", "l2")
"""The measures of `Alignment`, each a column of `align_over_training` with its interval."""


def align_over_training(
    folder: Path | str,
    solvers: Mapping[str, AbstractSolver],
    prompts: Prompts,
    *,
    checkpoints: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Align the model with each solver, as many steps as it has layers, at every checkpoint of a run.

    One row per (update, solver). Columns: update, loss (half the mean squared error) with loss_low and loss_high,
    solver, and for each of `MEASURES` its value with _low and _high (von Oswald et al. 2022, Fig. 2 and 3). Raises
    FileNotFoundError for a folder without checkpoints, or without those asked for.
    """
    folder = Path(folder)
    steps = checkpoint_steps(folder) if checkpoints is None else list(checkpoints)
    if not steps:
        raise FileNotFoundError(
            f"{folder} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
        )
    rows: list[dict[str, float | str]] = []
    with track("checkpoints", len(steps)) as tracker:
        for step in steps:
            model = load_checkpoint(folder, step).to(device)
            loss = bootstrap_mean(prompt_losses(model, prompts))
            for name, alignment in align_all(model, solvers, prompts, model.cfg.n_layers).items():
                row: dict[str, float | str] = {"update": step, "solver": name}
                row |= {"loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high}
                for measure in MEASURES:
                    value: Interval = getattr(alignment, measure)
                    row |= {measure: value.estimate, f"{measure}_low": value.low, f"{measure}_high": value.high}
                rows.append(row)
            tracker.advance(f"update {step}")
    return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A model that came close to one algorithm in training and then left it for another."""

    first: str
    second: str
    closest: int
    """Update of the checkpoint at which the cosine with the first is highest."""
    loss_there: float
    first_there: Interval
    second_there: Interval
    crossing: tuple[int, int]
    """Between these two checkpoints the second takes the lead in cosine for good."""
    last: int
    """Update of the last checkpoint."""
    loss_at_last: float
    first_at_last: Interval
    second_at_last: Interval


def find_turn(table: pd.DataFrame, first: str = "gd", second: str = "gd++") -> Turn | None:
    """The turn from one solver to another in a table of `align_over_training`, or None where there is none.

    There is one if the first leads where it is closest, the second leads at the last checkpoint and the first has lost
    cosine since; each with intervals that do not overlap. Raises ValueError for solvers that the table lacks.
    """
    for solver in (first, second):
        if solver not in set(table["solver"]):
            raise ValueError(f"The table has no rows of {solver!r}; it holds {sorted(set(table['solver']))}.")
    one = table[table["solver"] == first].set_index("update").sort_index()
    two = table[table["solver"] == second].set_index("update").sort_index()
    lead = one["cosine"] - two["cosine"]
    ahead = lead.index[lead > 0]
    if ahead.empty or lead.iloc[-1] >= 0:
        return None
    before = int(ahead[-1])
    # Only while the first leads: an untrained model's cosines mean nothing, and neither does a later maximum.
    closest = int(one.loc[ahead, "cosine"].idxmax())
    last = int(lead.index[-1])
    turn = Turn(
        first=first,
        second=second,
        closest=closest,
        loss_there=_at(one, closest)["loss"],
        first_there=_cosine(one, closest),
        second_there=_cosine(two, closest),
        crossing=(before, int(lead.index[lead.index > before][0])),
        last=last,
        loss_at_last=_at(one, last)["loss"],
        first_at_last=_cosine(one, last),
        second_at_last=_cosine(two, last),
    )
    clear = (
        turn.first_there.low > turn.second_there.high
        and turn.second_at_last.low > turn.first_at_last.high
        and turn.first_there.low > turn.first_at_last.high
    )
    return turn if clear else None


def _cosine(table: pd.DataFrame, update: int) -> Interval:
    row = _at(table, update)
    return Interval(row["cosine"], row["cosine_low"], row["cosine_high"])


def _at(table: pd.DataFrame, update: int) -> dict[str, float]:
    """The numbers of one checkpoint."""
    (row,) = table.loc[[update]].drop(columns="solver").to_dict(orient="records")
    return {str(name): float(value) for name, value in row.items()}
