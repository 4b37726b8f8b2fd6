"""The training loop."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from interp._names import unknown_name
from interp._precision import Precision, check_precision, computing_in
from interp._progress import track
from interp._records import to_record
from interp.models.any_model import AnyModel, on_device
from interp.models.build import build_model
from interp.models.compiled import compile_model
from interp.models.folders import (
    ModelInfo,
    current_versions,
    load_folder,
    named_parameters,
    named_weights,
    save_folder,
    weights_checksum,
)
from interp.training.checkpoints import is_kept, restore_checkpoint, save_checkpoint
from interp.training.data import training_batch
from interp.training.metrics import MetricsLog
from interp.training.recipe import AnyRecipe
from interp.training.run_folder import is_finished, open_run
from interp.training.team import Team


class DivergedError(ValueError):
    """The loss stopped being finite. What was saved before stays."""


@dataclass(frozen=True)
class Learning:
    """What an update needs."""

    model: AnyModel
    learner: nn.Module
    """From a share of a batch to the model's loss there."""
    optimizer: torch.optim.Optimizer
    recipe: AnyRecipe
    seed: int
    precision: Precision
    team: Team


def train(
    recipe: AnyRecipe,
    out: Path | str | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    compile: bool = False,
    resume: bool = False,
    force: bool = False,
) -> AnyModel:
    """Train a model by its recipe, into a run folder if ``out`` is given.

    The data of update s depend on (seed, s) alone and are drawn on the device, so a run that was killed and is resumed
    ends with the weights of one that never stopped (on the same kind of device and number of threads). ``resume`` goes
    on from the last checkpoint in ``out`` (or starts, if there is none); ``force`` replaces an earlier run there.

    With ``compile`` the model runs through torch.compile as long as nobody hooks it (see `compile_model`). In processes
    that ``accelerate launch`` started, each takes a share of every batch and gradients are averaged, as if one process
    had had the whole batch; the first process writes.

    Raises FileExistsError for an ``out`` that is taken, ValueError for a resumed run of another recipe, seed or
    precision, a folder that another process trains into, a precision that the device lacks, a language model to compile
    and more processes than a batch has prompts, DivergedError when loss or weights stop being finite.
    """
    team = Team(device)
    team.agree(lambda: check_precision(precision, team.device))
    team.agree(lambda: team.check(recipe.batch_size))
    folder = None if out is None else Path(out)
    model = on_device(build_model(recipe.model, recipe.task, seed=seed), team.device)
    optimizer = make_optimizer(trained_parameters(model, recipe), recipe)
    if compile:
        compile_model(model)
    with ExitStack() as held:
        start = 0
        if folder is not None:
            opened = open_run(folder, recipe, seed, precision=precision, resume=resume, force=force)
            start = team.led(lambda: held.enter_context(opened))
            if is_finished(folder):
                return on_device(load_folder(folder), team.device)
            if start > 0:
                restore_checkpoint(folder, start, model, optimizer)
        _run(Learning(model, team.learner(model), optimizer, recipe, seed, precision, team), start, folder)
    model.info = trained_info(model, recipe, seed, folder)
    return model


def _run(learning: Learning, start: int, folder: Path | None) -> None:
    """Do the updates from ``start`` on; the process that leads writes them down, and the model at the end."""
    model, optimizer, recipe, team = learning.model, learning.optimizer, learning.recipe, learning.team
    written = folder if team.leads else None
    if written is not None and start == 0:
        save_checkpoint(written, 0, model, optimizer, keep_every=recipe.keep_every)
    metrics = None if written is None else MetricsLog(written, before_step=start)
    with track(f"train {recipe.name} seed {learning.seed}", total=recipe.steps, start=start) as tracker:
        note = ""
        for step in range(start, recipe.steps):
            loss = _update(learning, step)
            logs, saves = is_logged(recipe, step), folder is not None and is_saved(recipe, step)
            if logs or saves:
                value = team.mean(loss).item()
                team.agree(partial(check_loss, value, step, folder))
                if logs and metrics is not None:
                    metrics.write({"step": step, "loss": value, "lr": recipe.lr_at(step)})
                note = f"loss {value:.4f}"
            if team.leads:
                tracker.advance(note)
            if saves and written is not None:
                save_checkpoint(written, step + 1, model, optimizer, keep_every=recipe.keep_every)
    team.agree(lambda: check_weights(named_weights(model), folder))
    if written is not None:
        save_folder(written, model, recipe=to_record(recipe), seed=learning.seed, precision=learning.precision)


def trained_parameters(model: AnyModel, recipe: AnyRecipe) -> list[torch.nn.Parameter]:
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


def make_optimizer(parameters: list[torch.nn.Parameter], recipe: AnyRecipe) -> torch.optim.Optimizer:
    """The recipe's AdamW, all parameters in one kernel: models of many small matrices wait for little else."""
    return torch.optim.AdamW(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True)


def is_logged(recipe: AnyRecipe, step: int) -> bool:
    """Whether the loss of update ``step`` is written down."""
    return step % recipe.log_every == 0 or step + 1 == recipe.steps


def is_saved(recipe: AnyRecipe, step: int) -> bool:
    """Whether a checkpoint follows update ``step``."""
    done = step + 1
    return is_kept(done, recipe.keep_every) or done % recipe.resume_every == 0 or done == recipe.steps


def check_loss(loss: float, step: int, folder: Path | None) -> None:
    """Raise DivergedError for a loss that is not finite."""
    if not math.isfinite(loss):
        raise _diverged(f"the loss is {loss} at step {step}", folder)


def check_weights(weights: Mapping[str, Tensor], folder: Path | None) -> None:
    """Raise DivergedError for weights that are not finite: after the last update no loss tells of it."""
    for name, values in weights.items():
        if not values.isfinite().all():
            raise _diverged(f"the last update leaves NaN or infinite values in {name}", folder)


def _diverged(how: str, folder: Path | None) -> DivergedError:
    stay = "." if folder is None else f"; the checkpoints in {folder} stay."
    return DivergedError(f"Training diverged: {how}. Lower `lr` or `clip_norm`{stay}")


def trained_info(model: AnyModel, recipe: AnyRecipe, seed: int, folder: Path | None) -> ModelInfo:
    """Where a model comes from that was trained just now."""
    return ModelInfo(
        name=str(folder) if folder is not None else recipe.name,
        source="run" if folder is not None else "python",
        seed=seed,
        recipe=to_record(recipe),
        versions=current_versions(),
        checksum=weights_checksum(model),
        folder=folder,
    )


def _update(learning: Learning, step: int) -> Tensor:
    """One update; returns the loss before it, as this process's part of the team's mean."""
    recipe, optimizer, team = learning.recipe, learning.optimizer, learning.team
    batch, weight = team.share(training_batch(recipe, learning.seed, step, team.device))
    with computing_in(learning.precision, team.device):
        loss = weight * learning.learner(batch)
    optimizer.zero_grad(set_to_none=True)
    # A backward pass does by itself what autocast did in the forward pass; TensorFloat-32 has to be on in both.
    with computing_in("tf32" if learning.precision == "tf32" else "fp32", team.device):
        loss.backward()
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(learning.model.parameters(), recipe.clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_at(step)
    optimizer.step()
    return loss.detach()
