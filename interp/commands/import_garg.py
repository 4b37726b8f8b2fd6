"""``interp import-garg``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from interp.commands._common import say
from interp.models.folders import is_run_folder, save_folder
from interp.models.garg import import_garg
from interp.training.run_folder import clear_run

RunDir = Annotated[
    Path,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="RUN_DIR", help="A run folder of the released code, with config.yaml and state.pt."),
]


def convert(
    run_dir: RunDir,
    *,
    out: Annotated[Path, tyro.conf.arg(help="Run folder to write.")],
    force: Annotated[bool, tyro.conf.arg(help="Replace an earlier run of ours.")] = False,
) -> None:
    """Turn a run folder of Garg et al.'s released code (or Fu et al.'s) into one of ours. Nothing in it is executed."""
    _require_free(out, force=force)
    model = import_garg(run_dir)
    assert model.info is not None
    clear_run(out)
    save_folder(out, model, recipe=model.info.recipe, source=model.info.source)
    say(f"Wrote {out}. See it with: interp report {out}")


def _require_free(folder: Path, *, force: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_run_folder(folder):
        raise FileExistsError(f"{folder} exists and is not a run of ours; give another --out.")
    if not force:
        raise FileExistsError(f"{folder} holds a run already; --force replaces it.")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(convert, prog="interp import-garg", args=arguments)
