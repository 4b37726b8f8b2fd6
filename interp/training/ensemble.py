"""Many seeds of one recipe in one batched program."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp._precision import Precision, check_precision, computing_in
from interp._progress import track
from interp._records import to_record
from interp.models.build import build_model
from interp.models.folders import read_named_weights, save_folder
from interp.models.regressor import RegressionModel
from interp.models.transformer import RegressionTransformer
from interp.training.checkpoints import restore_checkpoint, write_checkpoint
from interp.training.data import training_prompts
from interp.training.loop import DivergedError, check_loss, is_logged, is_saved
from interp.training.many import Run, RunOf, train_many
from interp.training.metrics import MetricsLog
from interp.training.recipe import AnyRecipe, Recipe
from interp.training.run_folder import check_seeds, is_finished, open_run, run_name
from interp.training.stack import Member, Stack
from interp.training.team import launched


def can_be_stacked(recipe: AnyRecipe) -> bool:
    """Whether seeds of a recipe can train as an ensemble: transformers on in-context regression can."""
    return isinstance(recipe, Recipe) and isinstance(build_model(recipe.model, recipe.task), RegressionTransformer)


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
    groups: dict[int, list[Run]] = {}
    for run in runs:
        start = open_run(run.folder, recipe, run.seed, precision=precision, resume=resume, force=force)
        if not is_finished(run.folder):
            groups.setdefault(start, []).append(run)
    failures: dict[int, str] = {}
    for start, group in sorted(groups.items()):
        failures |= _Ensemble(recipe, group, start, device, precision, compile).train()
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
    for seed in seeds:
        own = Path(folder) / run_name(recipe, seed)
        open_run(own, recipe, seed, precision=precision, resume=resume, force=force)
    wanted = [(recipe, seed) for seed in seeds]
    return train_many(wanted, folder, device=str(device), precision=precision, compile=compile)


class _Ensemble:
    """Runs that have all had ``start`` updates."""

    def __init__(
        self,
        recipe: Recipe,
        runs: Sequence[Run],
        start: int,
        device: torch.device,
        precision: Precision,
        compile: bool,
    ) -> None:
        self._recipe, self._runs, self._start = recipe, list(runs), start
        self._device, self._precision = device, precision
        members = [self._member(run) for run in runs]
        self._model = members[0].model
        self._stack = Stack(members, recipe)
        if compile:
            self._stack.compile()
        if start == 0:
            self._save(0)
        self._metrics = {run.seed: MetricsLog(run.folder, before_step=start) for run in runs}

    def train(self) -> dict[int, str]:
        """Do the remaining updates; returns why seeds failed, of those that did."""
        recipe = self._recipe
        failures: dict[int, str] = {}
        what = f"train {recipe.name}, {len(self._runs)} seeds"
        with _drawing(self._device) as pool, track(what, total=recipe.steps, start=self._start) as tracker:
            note = ""
            for step in range(self._start, recipe.steps):
                losses = self._update(step, pool)
                logs, saves = is_logged(recipe, step), is_saved(recipe, step)
                if logs or saves:
                    failures |= self._check(losses.tolist(), step, logs=logs)
                    if not self._runs:
                        break
                    note = f"mean loss {losses.nanmean().item():.4f}"
                tracker.advance(note)
                if saves:
                    self._save(step + 1)
        for index, run in enumerate(self._runs):
            self._finish(index, run)
        return failures

    def _member(self, run: Run) -> Member:
        model = build_model(self._recipe.model, self._recipe.task, seed=run.seed).to(self._device)
        member = Member.of(model, self._recipe)
        if self._start > 0:
            restore_checkpoint(run.folder, self._start, model, member.optimizer)
        return member

    def _update(self, step: int, pool: ThreadPoolExecutor) -> Tensor:
        tokens, ys = zip(*pool.map(lambda run: self._batch(run.seed, step), self._runs), strict=True)
        with computing_in(self._precision, self._device), _kernels(self._device):
            gradients, losses = self._stack.gradients(torch.stack(tokens), torch.stack(ys))
        self._stack.update(gradients, self._recipe.lr_at(step))
        return losses

    def _batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        prompts = training_prompts(self._recipe, seed, step, self._device)
        return self._model.tokens(prompts), prompts.ys

    def _check(self, losses: list[float], step: int, *, logs: bool) -> dict[int, str]:
        """Write losses down; part with the seeds whose loss is not finite, and say why."""
        failures, kept = {}, []
        for index, (run, loss) in enumerate(zip(self._runs, losses, strict=True)):
            try:
                check_loss(loss, step, run.folder)
            except DivergedError as error:
                failures[run.seed] = str(error)
                continue
            kept.append(index)
            if logs:
                self._metrics[run.seed].write({"step": step, "loss": loss, "lr": self._recipe.lr_at(step)})
        if failures:
            self._runs = [self._runs[index] for index in kept]
            if kept:
                self._stack.keep(kept)
        return failures

    def _save(self, done: int) -> None:
        for index, run in enumerate(self._runs):
            weights, state = self._stack.weights_of(index), self._stack.state_of(index)
            write_checkpoint(run.folder, done, weights, state, keep_every=self._recipe.keep_every)

    def _finish(self, index: int, run: Run) -> None:
        model: RegressionModel = build_model(self._recipe.model, self._recipe.task)
        read_named_weights(model, self._stack.weights_of(index), str(run.folder))
        save_folder(run.folder, model, recipe=to_record(self._recipe), seed=run.seed, precision=self._precision)


@contextmanager
def _drawing(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Threads that draw data: generators of the CPU take one core each, a GPU is fed by one."""
    with ThreadPoolExecutor(1 if device.type == "cuda" else os.cpu_count() or 1) as pool:
        yield pool


@contextmanager
def _kernels(device: torch.device) -> Iterator[None]:
    """The CPU's fused kernel of attention has no rule for torch.func.vmap."""
    if device.type == "cuda":
        yield
        return
    with sdpa_kernel([SDPBackend.MATH]):
        yield
