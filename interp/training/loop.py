"""The training loop."""

import math
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from interp._names import unknown_name
from interp._progress import track
from interp._records import from_record, to_record
from interp._seeds import derive_seed
from interp.models.any_model import AnyModel, on_device
from interp.models.build import build_model
from interp.models.folders import (
    WEIGHTS,
    ModelInfo,
    current_versions,
    is_run_folder,
    load_folder,
    named_parameters,
    read_config,
    save_folder,
    weights_checksum,
    write_config,
)
from interp.tasks import Prompts, TokenSequences
from interp.training.checkpoints import checkpoint_path, checkpoint_steps, is_kept, restore_checkpoint, save_checkpoint
from interp.training.metrics import METRICS, MetricsLog
from interp.training.objective import loss_of
from interp.training.recipe import AnyRecipe, LanguageRecipe, Recipe


class DivergedError(ValueError):
    """The loss stopped being finite. What was saved before stays."""


def train(
    recipe: AnyRecipe,
    out: Path | str | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    resume: bool = False,
    force: bool = False,
) -> AnyModel:
    """Train a model by its recipe, into a run folder if ``out`` is given.

    The data of update s depend on (seed, s) alone, so a run that was killed and is resumed ends with the weights of
    one that never stopped (on the same device and number of threads). ``resume`` goes on from the last checkpoint
    in ``out`` (or starts, if there is none); ``force`` replaces an earlier run there.

    Raises FileExistsError for an ``out`` that is taken, ValueError for a resumed run of another recipe or seed,
    DivergedError when the loss stops being finite.
    """
    if resume and force:
        raise ValueError("--resume goes on with a run and --force replaces it; give one of them.")
    folder = None if out is None else Path(out)
    model = on_device(build_model(recipe.model, recipe.task, seed=seed), device)
    optimizer = torch.optim.AdamW(
        _trained(model, recipe), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    start = 0
    metrics = None
    if folder is not None:
        start = _open_run(folder, recipe, seed, resume=resume, force=force)
        if (folder / WEIGHTS).is_file():  # written last: the run is finished, whatever became of its checkpoints
            return on_device(load_folder(folder), device)
        if start > 0:
            restore_checkpoint(folder, start, model, optimizer)
        else:
            save_checkpoint(folder, 0, model, optimizer, keep_every=recipe.keep_every)
        metrics = MetricsLog(folder, before_step=start)
    with track(f"train {recipe.name} seed {seed}", total=recipe.steps, start=start) as tracker:
        note = ""
        for step in range(start, recipe.steps):
            loss = _update(model, optimizer, recipe, seed, step)
            done = step + 1
            logs = step % recipe.log_every == 0 or done == recipe.steps
            saves = folder is not None and (
                is_kept(done, recipe.keep_every) or done % recipe.resume_every == 0 or done == recipe.steps
            )
            if logs or saves:
                value = loss.item()
                if not math.isfinite(value):
                    raise DivergedError(
                        f"Training diverged: the loss is {value} at step {step}. Lower `lr` or `clip_norm`"
                        + ("." if folder is None else f"; the checkpoints in {folder} stay.")
                    )
                if logs and metrics is not None:
                    metrics.write({"step": step, "loss": value, "lr": recipe.lr_at(step)})
                note = f"loss {value:.4f}"
            tracker.advance(note)
            if saves and folder is not None:
                save_checkpoint(folder, done, model, optimizer, keep_every=recipe.keep_every)
    recipe_record = to_record(recipe)
    if folder is not None:
        save_folder(folder, model, recipe=recipe_record, seed=seed)
    model.info = ModelInfo(
        name=str(folder) if folder is not None else recipe.name,
        source="run" if folder is not None else "python",
        seed=seed,
        recipe=recipe_record,
        versions=current_versions(),
        checksum=weights_checksum(model),
        folder=folder,
    )
    return model


def _trained(model: AnyModel, recipe: AnyRecipe) -> list[torch.nn.Parameter]:
    """The parameters that the recipe trains; the frozen ones take no gradient. Raises ValueError for unknown names."""
    parameters = named_parameters(model)
    known = {path.rsplit(".", 1)[-1] for path in parameters}
    for name in recipe.frozen:
        if name not in known:
            raise unknown_name(f"frozen parameter of recipe {recipe.name!r}", name, known)
    for path, parameter in parameters.items():
        parameter.requires_grad_(path.rsplit(".", 1)[-1] not in recipe.frozen)
    trained = [parameter for parameter in parameters.values() if parameter.requires_grad]
    if not trained:
        raise ValueError(f"Recipe {recipe.name!r} freezes every parameter; leave at least one to train.")
    return trained


def training_prompts(recipe: Recipe, seed: int, step: int) -> Prompts:
    """The prompts of update ``step`` (0, 1, ...), whatever the updates before it drew."""
    drawn = derive_seed(seed, "training data", step)
    if recipe.curriculum is not None:
        return recipe.curriculum.sample(recipe.task, recipe.batch_size, drawn, step)
    return recipe.task.sample(recipe.batch_size, seed=drawn)


def training_batch(recipe: AnyRecipe, seed: int, step: int) -> Prompts | TokenSequences:
    """What update ``step`` trains on: `training_prompts`, or sequences of the task, drawn alike."""
    if isinstance(recipe, LanguageRecipe):
        return recipe.task.sample(recipe.batch_size, seed=derive_seed(seed, "training data", step))
    return training_prompts(recipe, seed, step)


def _update(model: AnyModel, optimizer: torch.optim.Optimizer, recipe: AnyRecipe, seed: int, step: int) -> Tensor:
    """One update; returns the loss before it."""
    loss = loss_of(model, training_batch(recipe, seed, step))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_at(step)
    optimizer.step()
    return loss.detach()


def _open_run(folder: Path, recipe: AnyRecipe, seed: int, *, resume: bool, force: bool) -> int:
    """Make the folder ready and return the number of updates already done there."""
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not resume:
        if not is_run_folder(folder):
            raise FileExistsError(f"{folder} exists and is not a run of ours; give another --out.")
        if not force:
            raise FileExistsError(f"{folder} holds a run already; --resume goes on with it, --force replaces it.")
        clear_run(folder)
    if taken and resume:
        check_same_run(folder, recipe, seed)
        steps = checkpoint_steps(folder)
        if steps:
            return min(steps[-1], recipe.steps)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, recipe.model, recipe.task, recipe=to_record(recipe), seed=seed)
    return 0


def clear_run(folder: Path) -> None:
    """Remove what a run wrote, and nothing else."""
    for step in checkpoint_steps(folder):
        checkpoint_path(folder, step).unlink()
    for name in (WEIGHTS, METRICS):
        (folder / name).unlink(missing_ok=True)


def check_same_run(folder: Path, recipe: AnyRecipe, seed: int) -> None:
    """Refuse to go on with a run of another recipe or seed.

    Fields that its record lacks, being younger than it, have their defaults. Raises ValueError, saying what differs,
    and whatever `read_config` raises.
    """
    content = read_config(folder)
    theirs, ours = content.get("recipe"), to_record(recipe)
    with suppress(ValueError):  # what does not describe a recipe is compared as it is
        theirs = to_record(from_record(type(recipe), theirs, "the run's recipe"))
    if theirs == ours and content.get("seed") == seed:
        return
    changed = [f"seed {content.get('seed')} there, {seed} here"] if content.get("seed") != seed else []
    if isinstance(theirs, dict):
        changed += [
            f"{key} {theirs.get(key)!r} there, {ours.get(key)!r} here"
            for key in {**ours, **theirs}
            if theirs.get(key) != ours.get(key)
        ]
    raise ValueError(
        f"{folder} holds a run of another recipe or seed ({'; '.join(changed) or 'no recipe there'}); "
        "resume with the same ones, or give another --out."
    )
