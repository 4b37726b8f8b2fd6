"""What several subcommands share: options, output, tables on the terminal."""

import io
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from interp._devices import resolve_device
from interp._files import check_apart, check_output_file, write_atomically
from interp._precision import Precision
from interp._usage import UsageError
from interp.models.any_model import AnyModel, on_device
from interp.models.loading import load, load_language, load_regression
from interp.models.regressor import RegressionModel
from interp.report.document import table_records
from interp.report.render import show

Model = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="MODEL",
        help="A zoo name, a run folder, a construction (gd:steps=3,dim=5), an untrained twin "
        "(untrained:lsa-1layer,seed=3), or the local folder of a causal Hugging Face model.",
    ),
]
Contexts = Annotated[int, tyro.conf.arg(help="Contexts, half to select on, half to estimate on.")]
Queries = Annotated[int, tyro.conf.arg(help="Queries of each context, for models that predict the query alone.")]
Sequences = Annotated[
    int, tyro.conf.arg(help="Language models: sequences to find heads on, and as many others to confirm them on.")
]
Period = Annotated[int, tyro.conf.arg(help="Language models: random tokens of a sequence, which come twice.")]
BatchSize = Annotated[
    int | None,
    tyro.conf.arg(
        help="Contexts in memory at a time, at least 1; by default as many as keep a batch's activations of this model "
        "within 64 MB. It changes the time that is taken, not the results."
    ),
]
Seed = Annotated[int, tyro.conf.arg(help="Seed of the prompts, and of random perturbations.")]
InPrecision = Annotated[Precision, tyro.conf.arg(help="What the model computes in: fp32, tf32 (CUDA) or bf16.")]
Device = Annotated[str, tyro.conf.arg(help="cpu, cuda or auto.")]
Solvers = Annotated[
    tuple[str, ...],
    tyro.conf.arg(help="Candidates: names, or names with fixed parameters such as gd:lr=0.02,normalize=sum."),
]
CsvPath = Annotated[Path | None, tyro.conf.arg(help="Write the first table to this CSV file.")]
JsonPath = Annotated[Path | None, tyro.conf.arg(help="Write all tables to this JSON file.")]
Force = Annotated[bool, tyro.conf.arg(help="Replace existing files.")]


COLORS = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}
"""Of verdicts on the terminal."""


def load_on(model: str, device: str) -> RegressionModel:
    """Load a model of in-context regression onto a device named as on the command line (cpu, cuda, auto)."""
    where = resolve_device(device)
    return load_regression(model).to(where)


def load_language_on(model: str, device: str) -> Any:
    """Load a language model, a `TransformerBridge`, onto a device named as on the command line."""
    where = resolve_device(device)
    return on_device(load_language(model), where)


def load_any_on(model: str, device: str) -> AnyModel:
    """Load a model of either sort onto a device named as on the command line."""
    where = resolve_device(device)
    return on_device(load(model), where)


def command_line(name: str, arguments: Sequence[str]) -> str:
    """The command as it could be typed again."""
    return shlex.join(["interp", name, *arguments])


def refuse_options(kind: str, given: Mapping[str, bool]) -> None:
    """Refuse the options that are given and mean nothing to this kind of model. Raises UsageError."""
    named = [option for option, is_given in given.items() if is_given]
    if named:
        raise UsageError(f"Options that mean nothing to {kind} were given; leave out {', '.join(named)}.")


FIGURE_KINDS = (".svg", ".pdf", ".png")


def check_outputs(out: Path | None, json_path: Path | None, figure: Path | None = None, *, force: bool) -> None:
    """Refuse, before any work, files that are there (unless forced), one path for two, and unknown kinds of figure."""
    if figure is not None and figure.suffix not in FIGURE_KINDS:
        raise UsageError(
            f"Figures are drawn as {', '.join(FIGURE_KINDS)}, got {figure.name}; give one of these endings."
        )
    wanted = {"CSV": out, "JSON": json_path, "figure": figure}
    places = {what: path for what, path in wanted.items() if path is not None}
    check_apart(places)
    for path in places.values():
        check_output_file(path, ours=False, force=force)


def write_tables(tables: dict[str, pd.DataFrame], out: Path | None, json_path: Path | None) -> None:
    """Write the first table as CSV and all of them as JSON, where asked."""
    if out is not None:
        write_atomically(out, next(iter(tables.values())).to_csv(index=False))
    if json_path is not None:
        records = {name: table_records(table) for name, table in tables.items()}
        write_atomically(json_path, json.dumps(records, indent=1, allow_nan=False) + "\n")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a drawing as its file's ending says."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], bbox_inches="tight", dpi=200)
    write_atomically(path, buffer.getvalue())


def print_table(table: pd.DataFrame, title: str = "") -> None:
    """Show a table on standard output."""
    drawn = Table(title=title or None, title_justify="left")
    for column in table.columns:
        drawn.add_column(
            str(column), justify="right" if pd.api.types.is_numeric_dtype(table[column]) else "left", overflow="fold"
        )
    for row in table.itertuples(index=False):
        drawn.add_row(*(show(value) for value in row))
    console(table).print(drawn)


def console(table: pd.DataFrame | None = None) -> Console:
    """Standard output; wide enough for the table where it goes to a file or a pipe."""
    if sys.stdout.isatty() or table is None:
        return Console(highlight=False)
    return Console(highlight=False, width=max(120, 18 * table.shape[1]))


def say(text: Any) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
