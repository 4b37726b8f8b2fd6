"""Many seeds of one recipe, each into a run folder of its own."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from interp._precision import Precision, check_precision
from interp._progress import track
from interp._records import to_record
from interp.models.build import build_model
from interp.models.config import TransformerConfig
from interp.models.folders import save_folder
from interp.training.checkpoints import restore_checkpoint, write_checkpoint
from interp.training.ensemble import Ensemble
from interp.training.loop import DivergedError, check_loss, check_weights, is_logged, is_saved
from interp.training.many import Run, RunOf, train_many
from interp.training.metrics import MetricsLog
from interp.training.recipe import AnyRecipe, Recipe
from interp.training.run_folder import check_seeds, is_finished, open_run, run_name
from interp.training.stack import Member
from interp.training.team import launched


def can_be_stacked(recipe: AnyRecipe) -> bool:
    """Whether seeds of a recipe can train as an ensemble: transformers on in-context regression can."""
    return isinstance(recipe, Recipe) and isinstance(recipe.model, TransformerConfig)


def train_ensemble(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    compile: bool = False,
    resume: bool = False,
    force: bool = False,
) -> list[Run]:
    """Train a recipe with several seeds at once, each into ``folder/RECIPE-seedSEED``.

    Weights, optimiser and data of all seeds are stacked (torch.func), and every operation serves them all. Each run is
    the one that `train` makes of its seed alone, within the rounding of float32, with its own metrics and checkpoints.
    A seed that diverges is reported in its `Run` and stops no other. With ``resume`` finished runs are taken as they
    are and unfinished ones go on, those that got equally far together; ``force`` replaces runs.

    Raises, before anything is trained: ValueError for no seeds or one seed twice, recipes of models that are no
    transformers (see `can_be_stacked`), processes of ``accelerate launch``, and as `train`; FileExistsError for a
    folder that is taken.
    """
    check_seeds(seeds)
    device = torch.device(device)
    check_precision(precision, device)
    if not can_be_stacked(recipe):
        raise ValueError(
            f"Recipe {recipe.name!r} trains no transformer on in-context regression, and others cannot be stacked; "
            "train its seeds with train_many."
        )
    if launched() > 1:
        raise ValueError("An ensemble trains in one process; start it without `accelerate launch`.")
    runs = [Run(recipe, seed, Path(folder) / run_name(recipe, seed)) for seed in seeds]
    failures: dict[int, str] = {}
    with ExitStack() as held:
        groups: dict[int, list[Run]] = {}
        for run in runs:
            opened = open_run(run.folder, recipe, run.seed, precision=precision, resume=resume, force=force)
            start = held.enter_context(opened)
            if not is_finished(run.folder):
                groups.setdefault(start, []).append(run)
        for start, group in sorted(groups.items()):
            members = [_member(recipe, run, start, device) for run in group]
            own = [run.seed for run in group]
            with Ensemble(recipe, own, members, device=device, precision=precision, compile=compile) as ensemble:
                failures |= _train_group(recipe, group, start, ensemble, precision)
    return [Run(run.recipe, run.seed, run.folder, failures.get(run.seed, "")) for run in runs]


def train_seeds(
    recipe: AnyRecipe,
    seeds: Sequence[int],
    folder: Path | str,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    compile: bool = False,
    resume: bool = False,
    force: bool = False,
) -> list[RunOf[Any]]:
    """Train any recipe with several seeds: as an ensemble where its model can be stacked, else one process for each.

    Arguments, folders and errors as of `train_ensemble`.
    """
    if isinstance(recipe, Recipe) and can_be_stacked(recipe):
        return train_ensemble(
            recipe, seeds, folder, device=device, precision=precision, compile=compile, resume=resume, force=force
        )
    check_seeds(seeds)
    check_precision(precision, device)
    if launched() > 1:
        raise ValueError("Every seed trains in a process of its own; start them without `accelerate launch`.")
    for seed in seeds:
        own = Path(folder) / run_name(recipe, seed)
        with open_run(own, recipe, seed, precision=precision, resume=resume, force=force):
            pass  # each is checked, and begun, before any is trained
    wanted = [(recipe, seed) for seed in seeds]
    return train_many(wanted, folder, device=str(device), precision=precision, compile=compile)


def _member(recipe: Recipe, run: Run, start: int, device: torch.device) -> Member:
    """The model of a run after ``start`` updates."""
    member = Member.of(build_model(recipe.model, recipe.task, seed=run.seed).to(device), recipe)
    if start > 0:
        restore_checkpoint(run.folder, start, member.model, member.optimizer)
    return member


def _train_group(
    recipe: Recipe, group: Sequence[Run], start: int, ensemble: Ensemble, precision: Precision
) -> dict[int, str]:
    """Do the remaining updates of runs that are equally far; returns why seeds failed, of those that did."""
    folders = {run.seed: run.folder for run in group}
    failures: dict[int, str] = {}
    if start == 0:
        _save(recipe, ensemble, folders, 0)
    metrics = {seed: MetricsLog(folder, before_step=start) for seed, folder in folders.items()}
    with track(f"train {recipe.name}, {len(group)} seeds", total=recipe.steps, start=start) as tracker:
        note = ""
        for step in range(start, recipe.steps):
            losses = ensemble.update(step)
            logs, saves = is_logged(recipe, step), is_saved(recipe, step)
            if logs or saves:
                found = dict(zip(ensemble.seeds, losses.tolist(), strict=True))
                lost = _diverged(found, step, folders)
                failures |= lost
                if len(lost) == len(found):
                    return failures
                if lost:
                    ensemble.keep([index for index, seed in enumerate(found) if seed not in lost])
                for seed in ensemble.seeds if logs else ():
                    metrics[seed].write({"step": step, "loss": found[seed], "lr": recipe.lr_at(step)})
                note = f"mean loss {sum(found[seed] for seed in ensemble.seeds) / len(ensemble.seeds):.4f}"
            tracker.advance(note)
            if saves:
                _save(recipe, ensemble, folders, step + 1)
    for index, seed in enumerate(ensemble.seeds):
        lost_at_last = _failure(check_weights, ensemble.stack.weights_of(index), folders[seed])
        if lost_at_last:
            failures[seed] = lost_at_last
        else:
            save_folder(folders[seed], ensemble.model(index), recipe=to_record(recipe), seed=seed, precision=precision)
    return failures


def _diverged(losses: dict[int, float], step: int, folders: dict[int, Path]) -> dict[int, str]:
    """The seeds whose loss is not finite, and what there is to say about it."""
    found = {seed: _failure(check_loss, loss, step, folders[seed]) for seed, loss in losses.items()}
    return {seed: failure for seed, failure in found.items() if failure}


def _failure(check: Callable[..., None], *arguments: Any) -> str:
    """What a check says of a run that diverged; empty for one that did not."""
    try:
        check(*arguments)
    except DivergedError as error:
        return str(error)
    return ""


def _save(recipe: Recipe, ensemble: Ensemble, folders: dict[int, Path], done: int) -> None:
    for index, seed in enumerate(ensemble.seeds):
        weights, state = ensemble.stack.weights_of(index), ensemble.stack.state_of(index)
        write_checkpoint(folders[seed], done, weights, state, keep_every=recipe.keep_every)
