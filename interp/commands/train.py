"""``interp train``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from interp._devices import resolve_device
from interp._names import unknown_name
from interp.commands._common import say
from interp.training import RECIPES, train
from interp.training.recipe import AnyRecipe


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where and how a run happens; the recipe says what."""

    out: Annotated[Path | None, tyro.conf.arg(help="Run folder; runs/RECIPE-seedSEED unless given.")] = None
    seed: Annotated[int, tyro.conf.arg(help="Seed of initial weights and data.")] = 0
    device: Annotated[str, tyro.conf.arg(help="cpu, cuda or auto.")] = "cpu"
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

    options, chosen = tyro.cli(
        train_recipe, prog=f"interp train {name}", args=rest, config=(tyro.conf.AvoidSubcommands,)
    )
    out = options.out or Path("runs") / f"{chosen.name}-seed{options.seed}"
    train(
        chosen,
        out,
        seed=options.seed,
        device=resolve_device(options.device),
        resume=options.resume,
        force=options.force,
    )
    say(f"Wrote {out}. See it with: interp report {out}")
