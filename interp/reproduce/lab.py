"""What every figure works with: trained runs, evaluation prompts, and how much of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp._records import from_record, to_record
from interp._seeds import derive_seed
from interp.models.folders import WEIGHTS, load_folder, read_config
from interp.models.regressor import RegressionModel
from interp.models.zoo import zoo_entries
from interp.solvers import AbstractSolver, tune
from interp.tasks import Prompts, Task
from interp.training import Recipe, Run, checkpoint_steps, get_recipe, train_many
from interp.training.run_folder import check_same_run

TUNING = 4096
"""Prompts that steps of their own are tuned on; fewer, and the steps fit them alone."""
MANY = 65_536
"""Prompts of losses with heavy tails: a deep model that is off by the bound on its activations on one prompt in thirty
thousand may owe to it a third of a mean over all of them, and five times a mean over two thousand that hold it."""


@dataclass
class Lab:
    """Trains or finds the runs that a figure asks for, and remembers them for its record."""

    quick: bool = False
    """Fewer seeds, updates and prompts: a few minutes on 2 cores."""
    seeds: int = 0
    """Runs of each recipe; 0 leaves it to the figure. Never 1: who asks for seeds asks for their spread."""
    folder: Path = Path("runs")
    """Where runs are kept, and found again."""
    jobs: int = 0
    """Runs trained at a time; 0 for one on each core."""
    device: str = "cpu"
    seed: int = 0
    """Seed of the evaluation prompts."""
    record: list[dict[str, Any]] = field(default_factory=list)
    """The runs used so far."""

    def __post_init__(self) -> None:
        if self.seeds and self.seeds < 2:
            raise ValueError(f"A claim about training needs at least 2 seeds, got {self.seeds}.")

    @property
    def n_prompts(self) -> int:
        """Evaluation prompts of every loss and alignment."""
        return 2048 if self.quick else 8192

    def prompts(self, task: Task, n_queries: int = 1) -> Prompts:
        """Evaluation prompts: the same ones for every model and solver, and never seen in training."""
        return task.sample(self.n_prompts, seed=derive_seed(self.seed, "evaluation"), n_queries=n_queries)

    def many_prompts(self, task: Task) -> Prompts:
        """Prompts for the loss of a deep model, which a rare prompt weighs on."""
        return task.sample(MANY, seed=derive_seed(self.seed, "many"))

    def tuning_prompts(self, task: Task) -> Prompts:
        """Prompts to tune on what would overfit the evaluation's: GD++ with steps of its own."""
        return task.sample(TUNING, seed=derive_seed(self.seed, "tuning"))

    def runs(self, recipe: Recipe | str, *, seeds: int, least: int = 2) -> list[Run]:
        """Runs of seeds 0, 1, ... of a recipe: ``seeds`` of them unless the user says otherwise.

        A zoo model of the same recipe and seed is taken as it is where it has its checkpoints. Runs that diverged are
        noted in the record and left out. Raises ValueError where fewer than ``least`` are left.
        """
        if isinstance(recipe, str):
            recipe = get_recipe(recipe)
        wanted = range(self.seeds or seeds)
        shipped = {seed: run for seed in wanted if (run := _from_zoo(recipe, seed)) is not None}
        missing = [(recipe, seed) for seed in wanted if seed not in shipped]
        trained = train_many(missing, self.folder, jobs=self.jobs, device=self.device)
        runs = sorted([*shipped.values(), *trained], key=lambda run: run.seed)
        for run in runs:
            self._note(run)
        finished = [run for run in runs if not run.failure]
        if len(finished) < least:
            raise ValueError(
                f"Only {len(finished)} of {len(runs)} runs of {recipe.name!r} finished, and a claim needs {least}: "
                + "; ".join(f"seed {run.seed}: {run.failure}" for run in runs if run.failure)
            )
        return finished

    def shipped(self, recipe: str) -> list[Run]:
        """All zoo models of a recipe as runs, for what takes long to train. Raises ValueError for fewer than 2."""
        entries = [entry for entry in zoo_entries().values() if entry.recipe == recipe]
        runs = [Run(get_recipe(recipe), entry.seed, entry.folder) for entry in entries]
        if len(runs) < 2:
            raise ValueError(f"The zoo has {len(runs)} models of {recipe!r}, and a claim needs 2; run without --quick.")
        for run in runs:
            self._note(run)
        return sorted(runs, key=lambda run: run.seed)

    def shipped_or_trained(self, recipe: str) -> list[Run]:
        """Runs of a recipe that takes long to train, of which one is enough: intervals are then over prompts.

        Where the lab is quick, all that there are: the zoo's models and the finished runs in the lab's folder. Else
        as `runs`, one unless the user asks for more. Raises ValueError where there are none or fewer than asked for,
        and says how to train them.
        """
        if not self.quick:
            return self.runs(recipe, seeds=1, least=1)
        wanted = get_recipe(recipe)
        found: dict[int, Run] = {}
        for folder in sorted(self.folder.glob(f"{recipe}-seed*")):
            if (folder / WEIGHTS).is_file():
                seed = int(read_config(folder)["seed"])
                check_same_run(folder, wanted, seed)
                found[seed] = Run(wanted, seed, folder)
        found |= {e.seed: Run(wanted, e.seed, e.folder) for e in zoo_entries().values() if e.recipe == recipe}
        if len(found) < max(1, self.seeds):
            missing = next(seed for seed in range(len(found) + 1) if seed not in found)
            raise ValueError(
                f"The zoo and {self.folder} hold {len(found)} of {max(1, self.seeds)} trained models of {recipe!r}. "
                f"Train another with `interp train {recipe} --seed {missing} --out "
                f"{self.folder / f'{recipe}-seed{missing}'}`; it is then found with --runs {self.folder}."
            )
        runs = [found[seed] for seed in sorted(found)][: self.seeds or None]
        for run in runs:
            self._note(run)
        return runs

    def _note(self, run: Run) -> None:
        # The folder's name, not its path: a record must not depend on where it was made.
        noted: dict[str, Any] = {"recipe": to_record(run.recipe), "seed": run.seed, "folder": run.folder.name}
        if run.failure:
            noted["failure"] = run.failure
        else:
            info = load_folder(run.folder).info
            noted["checksum"] = info.checksum if info else ""
        if noted not in self.record:
            self.record.append(noted)


def model_of(run: Run) -> RegressionModel:
    """The trained model of a run."""
    return load_folder(run.folder)


def tuned(names: Sequence[str], prompts: Prompts, steps: int) -> dict[str, AbstractSolver]:
    """Solvers with their best hyperparameters for so many steps, shared by the steps."""
    return {name: tune(name, prompts, steps).solver for name in names}


def _from_zoo(recipe: Recipe, seed: int) -> Run | None:
    for entry in zoo_entries().values():
        if entry.recipe == recipe.name and entry.seed == seed and checkpoint_steps(entry.folder):
            record = read_config(entry.folder)["recipe"]
            if from_record(Recipe, record, f"the recipe of the zoo model {entry.name!r}") == recipe:
                return Run(recipe, seed, entry.folder)
    return None
