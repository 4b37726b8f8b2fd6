"""The folder of a run: made ready, checked and cleared."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from interp._precision import Precision
from interp._records import from_record, to_record
from interp._usage import UsageError
from interp.models.folders import CONFIG, WEIGHTS, is_run_folder, read_config, write_config
from interp.training.checkpoints import checkpoint_path, checkpoint_steps
from interp.training.metrics import METRICS
from interp.training.recipe import AnyRecipe


def run_name(recipe: AnyRecipe, seed: int) -> str:
    """What the folder of a run is called where nobody says otherwise."""
    return f"{recipe.name}-seed{seed}"


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise ValueError for no seeds, and for a seed that is there twice: its runs would share a folder."""
    twice = sorted({seed for seed in seeds if list(seeds).count(seed) > 1})
    if not seeds or twice:
        raise ValueError(
            f"Expected at least one seed, each once; got {'none' if not seeds else f'{twice} more than once'}."
        )


@contextmanager
def open_run(
    folder: Path,
    recipe: AnyRecipe,
    seed: int,
    *,
    precision: Precision = "fp32",
    resume: bool = False,
    force: bool = False,
) -> Iterator[int]:
    """Make the folder ready, and hold it; the number of updates already done there.

    ``resume`` goes on from the last checkpoint there, ``force`` replaces a run. While the context lasts no other
    process can open the folder, and when the process dies, however it does, others can. Raises FileExistsError for a
    folder that is taken, ValueError for both at once, for a resumed run of another recipe, seed or precision, and for
    a folder that another process holds.
    """
    if resume and force:
        raise UsageError("--resume goes on with a run and --force replaces it; give one of them.")
    with ExitStack() as stack:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            stack.enter_context(_held(folder))
        yield _make_ready(folder, recipe, seed, precision=precision, resume=resume, force=force)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock the folder itself, which leaves no file behind. Raises ValueError where another process has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(
            f"Another process is training into {folder}; wait until it ends, or give another --out."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _make_ready(folder: Path, recipe: AnyRecipe, seed: int, *, precision: Precision, resume: bool, force: bool) -> int:
    """Check, clear or begin the folder; returns the number of updates already done there."""
    for scratch in folder.glob(f".{CONFIG}.*"):
        scratch.unlink()  # of a process that died while it wrote the first file
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not resume:
        if not is_run_folder(folder):
            raise FileExistsError(f"{folder} exists and is not a run of ours; give another --out.")
        if not force:
            raise FileExistsError(f"{folder} holds a run already; --resume goes on with it, --force replaces it.")
        clear_run(folder)
    if taken and resume:
        check_same_run(folder, recipe, seed, precision)
        steps = checkpoint_steps(folder)
        if steps:
            return min(steps[-1], recipe.steps)
    write_config(folder, recipe.model, recipe.task, recipe=to_record(recipe), seed=seed, precision=precision)
    return 0


def is_finished(folder: Path) -> bool:
    """Whether a run is there in full: its weights are written last, whatever became of its checkpoints."""
    return (folder / WEIGHTS).is_file()


def clear_run(folder: Path) -> None:
    """Remove what a run wrote, and nothing else."""
    for step in checkpoint_steps(folder):
        checkpoint_path(folder, step).unlink()
    for name in (WEIGHTS, METRICS):
        (folder / name).unlink(missing_ok=True)


def check_same_run(folder: Path, recipe: AnyRecipe, seed: int, precision: Precision = "fp32") -> None:
    """Refuse to go on with a run of another recipe, seed or precision.

    Fields that its record lacks, being younger than it, have their defaults. Raises ValueError, saying what differs,
    and whatever `read_config` raises.
    """
    content = read_config(folder)
    theirs, ours = content.get("recipe"), to_record(recipe)
    with suppress(ValueError):  # what does not describe a recipe is compared as it is
        theirs = to_record(from_record(type(recipe), theirs, "the run's recipe"))
    beside = {"seed": (content.get("seed"), seed), "precision": (content.get("precision", "fp32"), precision)}
    changed = [f"{name} {there} there, {here} here" for name, (there, here) in beside.items() if there != here]
    if theirs == ours and not changed:
        return
    if isinstance(theirs, dict):
        changed += [
            f"{key} {theirs.get(key)!r} there, {ours.get(key)!r} here"
            for key in {**ours, **theirs}
            if theirs.get(key) != ours.get(key)
        ]
    raise ValueError(
        f"{folder} holds a run of another recipe, seed or precision ({'; '.join(changed) or 'no recipe there'}); "
        "resume with the same ones, or give another --out."
    )
