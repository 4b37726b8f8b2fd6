"""``interp train``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro

from interp._devices import resolve_device
from interp._names import unknown_name
from interp._precision import Precision
from interp._seeds import parse_seeds
from interp._usage import UsageError
from interp.commands._common import print_table, say
from interp.training import RECIPES, DivergedError, train, train_seeds
from interp.training.metrics import read_metrics
from interp.training.recipe import AnyRecipe
from interp.training.run_folder import run_name
from interp.training.team import leads_here


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where and how a run happens; the recipe says what."""

    out: Annotated[
        Path | None,
        tyro.conf.arg(help="Run folder; runs/RECIPE-seedSEED unless given. With --seeds the folder of all runs; runs."),
    ] = None
    seed: Annotated[int | None, tyro.conf.arg(help="Seed of initial weights and data; 0 unless given.")] = None
    seeds: Annotated[
        str | None, tyro.conf.arg(help="Several seeds at once, such as 0-9 or 0,3,5, as one batched program.")
    ] = None
    device: Annotated[str, tyro.conf.arg(help="cpu, cuda or auto.")] = "cpu"
    precision: Annotated[Precision, tyro.conf.arg(help="fp32, tf32 (CUDA) or bf16.")] = "fp32"
    compile: Annotated[bool, tyro.conf.arg(help="Train through torch.compile; on CUDA with graphs.")] = False
    resume: Annotated[bool, tyro.conf.arg(help="Go on from the last checkpoint in the run folder.")] = False
    force: Annotated[bool, tyro.conf.arg(help="Replace an earlier run of ours.")] = False


def run(arguments: Sequence[str]) -> None:
    """Parse ``RECIPE [OPTIONS] [--FIELD VALUE ...]`` and train."""
    names = ", ".join(sorted(RECIPES))
    if not arguments or arguments[0].startswith("-"):
        usage = (
            f"usage: interp train RECIPE [OPTIONS] [--FIELD VALUE ...]\n\nRecipes: {names}\n"
            "'interp train RECIPE --help' lists the fields.\n"
        )
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        (sys.stdout if asked else sys.stderr).write(usage)
        raise SystemExit(0 if asked else 2)
    name, *rest = arguments
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    recipe = RECIPES[name]
    kind = type(recipe)

    def train_recipe(
        options: Annotated[RunOptions, tyro.conf.arg(name="")],
        fields: Annotated[kind, tyro.conf.arg(name="")] = recipe,  # type: ignore[valid-type]  # of one kind or the other
    ) -> tuple[RunOptions, AnyRecipe]:
        """Train a model by a recipe, into a run folder."""
        return options, fields

    try:
        options, chosen = tyro.cli(
            train_recipe, prog=f"interp train {name}", args=rest, config=(tyro.conf.AvoidSubcommands,)
        )
    except ValueError as error:  # fields that no recipe can have together
        raise UsageError(str(error)) from error
    if options.seeds is not None:
        _train_seeds(chosen, options.seeds, options)
        return
    seed = options.seed or 0
    out = options.out or Path("runs") / run_name(chosen, seed)
    train(
        chosen,
        out,
        seed=seed,
        device=resolve_device(options.device),
        precision=options.precision,
        compile=options.compile,
        resume=options.resume,
        force=options.force,
    )
    if leads_here():
        say(f"Wrote {out}. See it with: interp report {out}")


def _train_seeds(recipe: AnyRecipe, wanted: str, options: RunOptions) -> None:
    """Train all seeds, as an ensemble if the recipe allows; say how each ended."""
    if options.seed is not None:
        raise UsageError("--seed is one seed and --seeds are several; give one of them.")
    seeds, folder = parse_seeds(wanted), options.out or Path("runs")
    runs = train_seeds(
        recipe,
        seeds,
        folder,
        device=resolve_device(options.device),
        precision=options.precision,
        compile=options.compile,
        resume=options.resume,
        force=options.force,
    )
    print_table(
        pd.DataFrame(
            [
                {
                    "seed": run.seed,
                    "final loss": read_metrics(run.folder)[-1]["loss"] if not run.failure else float("nan"),
                    "run": str(run.folder),
                    "outcome": run.failure or "finished",
                }
                for run in runs
            ]
        ),
        f"{recipe.name}, {len(runs)} seeds",
    )
    lost = ", ".join(str(run.seed) for run in runs if run.failure)
    if lost:
        others = "" if all(run.failure for run in runs) else " The others finished."
        raise DivergedError(f"Diverged: seeds {lost} of {recipe.name}.{others} Lower `lr` or `clip_norm` for these.")
