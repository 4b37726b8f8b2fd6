"""From easy prompts to those of the task."""

from dataclasses import dataclass, replace

import torch

from interp.tasks import AnyTask, LinearRegression, Prompts, SineWaves


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A number that rises from ``start`` by ``step`` every ``every`` updates.

    Raises ValueError for a start or a step below 1, and for a pace below one update.
    """

    start: int
    step: int = 1
    every: int = 2000

    def __post_init__(self) -> None:
        for name in ("start", "step", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` of a curriculum must be at least 1, got {getattr(self, name)}.")

    def at(self, update: int, end: int) -> int:
        """Its value at an update (0, 1, ...), never above ``end``."""
        return min(end, self.start + self.step * (update // self.every))


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """How many input coordinates and points the prompts of an update have (Garg et al. 2022, appendix A.2).

    Coordinates beyond are 0, and so play no part in the targets; points beyond are left out.
    """

    dims: Ramp
    points: Ramp

    def check(self, task: AnyTask, name: str) -> None:
        """Raise ValueError for a task that it cannot make easier, or that it starts beyond."""
        if isinstance(task, SineWaves):
            raise ValueError(f"Recipe {name!r}: sine waves have one dim, and a curriculum starts with few of many.")
        for ramp, field, end in ((self.dims, "dim", task.dim), (self.points, "n_points", task.n_points)):
            if ramp.start > end:
                raise ValueError(
                    f"Recipe {name!r}: the curriculum starts at {field}={ramp.start}, beyond the task's {end}."
                )
        if isinstance(task, LinearRegression) and task.covariance.kind == "eigenvalues" and self.dims.start < task.dim:
            raise ValueError(
                f"Recipe {name!r}: the curriculum starts at dim={self.dims.start}, and the covariance has eigenvalues "
                f"for dim={task.dim} alone; give a condition number, or start at {task.dim}."
            )
        replace(task, dim=self.dims.start, n_points=self.points.start)  # raises what the easiest task would raise

    def n_points(self, task: AnyTask, update: int) -> int:
        """Points of the prompts of an update."""
        return self.points.at(update, task.n_points)

    def sample(self, task: AnyTask, n_prompts: int, seed: int, update: int) -> Prompts:
        """Prompts [prompt point dim] for an update, as wide as the task's own and perhaps shorter."""
        assert not isinstance(task, SineWaves)  # the recipe has been checked
        dim, n_points = self.dims.at(update, task.dim), self.n_points(task, update)
        if (dim, n_points) == (task.dim, task.n_points):
            return task.sample(n_prompts, seed=seed)
        easier = replace(task, dim=dim, n_points=n_points).sample(n_prompts, seed=seed)
        return Prompts(xs=torch.nn.functional.pad(easier.xs, (0, task.dim - dim)), ys=easier.ys)
