"""Several runs at once, each in a process of its own."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

import torch

from interp._devices import usable_cores
from interp._precision import Precision
from interp._progress import track
from interp.training.loop import DivergedError, train
from interp.training.recipe import AnyRecipe, LanguageRecipe, Recipe
from interp.training.run_folder import check_same_run, is_finished, run_name

SomeRecipe = TypeVar("SomeRecipe", Recipe, LanguageRecipe)


@dataclass(frozen=True)
class RunOf(Generic[SomeRecipe]):
    """A finished run, or one that diverged."""

    recipe: SomeRecipe
    seed: int
    folder: Path
    failure: str = ""
    """Why it did not finish; empty if it did."""


Run = RunOf[Recipe]
"""A run of a model of in-context regression."""


def train_many(
    wanted: Sequence[tuple[SomeRecipe, int]],
    folder: Path | str,
    *,
    jobs: int = 0,
    device: str = "cpu",
    precision: Precision = "fp32",
    compile: bool = False,
) -> list[RunOf[SomeRecipe]]:
    """Train recipes with seeds into ``folder/RECIPE-seedSEED``, ``jobs`` at a time (0: one for each core; on a GPU 1).

    Several at a time train in processes of their own, which a script has to allow for by ``if __name__ == "__main__"``.

    Runs that are there already are taken as they are, unfinished ones go on from their last checkpoint. A run that
    diverges is reported in its `RunOf` and stops no other. Comes back in the order asked for. Raises ValueError, before
    anything is trained, where a folder holds another recipe's run or two recipes ask for the same folder.
    """
    folder = Path(folder)
    jobs = jobs or (1 if device != "cpu" else usable_cores())
    runs = [RunOf(recipe, seed, folder / run_name(recipe, seed)) for recipe, seed in wanted]
    by_folder: dict[Path, RunOf[SomeRecipe]] = {}
    for run in runs:
        if by_folder.setdefault(run.folder, run) != run:
            raise ValueError(
                f"Two different recipes are named {run.recipe.name!r} and would both train into {run.folder}; "
                "give them different names."
            )
    missing = [run for run in by_folder.values() if not _is_finished(run, precision)]
    how = _How(device, precision, compile)
    failures: dict[Path, str] = {}
    if missing and jobs == 1:
        with track("runs", len(missing)) as tracker:
            for run in missing:
                failures[run.folder] = _train_one(run.recipe, run.seed, run.folder, how)
                tracker.advance(f"{run.recipe.name} seed {run.seed}")
    elif missing:
        threads = max(1, usable_cores() // min(jobs, len(missing)))
        # Processes of their own: threads that several trainings share cost more than they give.
        with (
            ProcessPoolExecutor(min(jobs, len(missing)), mp_context=get_context("spawn")) as pool,
            track("runs", len(missing)) as tracker,
        ):
            futures = {
                pool.submit(_train_in_process, run.recipe, run.seed, run.folder, how, threads): run for run in missing
            }
            for future in as_completed(futures):
                run = futures[future]
                failures[run.folder] = future.result()
                tracker.advance(f"{run.recipe.name} seed {run.seed}")
    return [RunOf(run.recipe, run.seed, run.folder, failures.get(run.folder, "")) for run in runs]


@dataclass(frozen=True)
class _How:
    """How every run is computed."""

    device: str
    precision: Precision
    compile: bool


def _is_finished(run: RunOf[SomeRecipe], precision: Precision) -> bool:
    """Whether the run is there in full. Raises ValueError for one of another recipe."""
    if run.folder.exists() and any(run.folder.iterdir()):
        check_same_run(run.folder, run.recipe, run.seed, precision)
    return is_finished(run.folder)


def _train_in_process(recipe: AnyRecipe, seed: int, folder: Path, how: _How, threads: int) -> str:
    """`_train_one` in a process of its own, with its share of the cores."""
    torch.set_num_threads(threads)
    return _train_one(recipe, seed, folder, how)


def _train_one(recipe: AnyRecipe, seed: int, folder: Path, how: _How) -> str:
    """Train one run; returns why it failed, if it did."""
    try:
        train(
            recipe,
            folder,
            seed=seed,
            device=how.device,
            precision=how.precision,
            compile=how.compile,
            resume=True,
        )
    except DivergedError as error:
        return str(error)
    return ""
