"""The workload of Fu et al. (2023)'s heat maps, and our way to compute them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.matching.similarity import similarity_of_errors
from interp.solvers import GradientDescent, Newton, Regressions
from interp.tasks import LinearRegression, Prompts


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The problems that a plain way is measured on: these prefixes of the first so many prompts."""

    n_prompts: int
    prefixes: tuple[int, ...]
    """Examples in a prefix. Where they are not all, they are spaced evenly about the middle: a step's cost
    grows with the length, so their mean cost is that of all."""

    @property
    def n_problems(self) -> int:
        """Number of (prompt, prefix) pairs."""
        return self.n_prompts * len(self.prefixes)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The similarity of errors of each layer to each step of two solvers, and the samples for the plain ways.

    Raises ValueError for a sample of prompts or prefixes that there are not.
    """

    n_prompts: int = 320
    n_points: int = 41
    dim: int = 20
    n_layers: int = 12
    newton_steps: tuple[int, ...] = tuple(range(1, 24))
    gd_steps: tuple[int, ...] = tuple(sorted({1, *range(50, 1301, 50), *(2**k for k in range(13))}))
    lr: float = 0.01
    """Gradient descent's, not divided by the number of examples."""
    scratch: Sample = Sample(n_prompts=2, prefixes=tuple(range(3, 41, 5)))
    trajectory: Sample = Sample(n_prompts=4, prefixes=tuple(range(1, 41)))
    similarity_prompts: int = 8
    """Prompts whose cosines are taken one by one."""

    def __post_init__(self) -> None:
        prompts = max(self.scratch.n_prompts, self.trajectory.n_prompts, self.similarity_prompts)
        longest = max(*self.scratch.prefixes, *self.trajectory.prefixes)
        if prompts > self.n_prompts or longest >= self.n_points:
            raise ValueError(
                f"The samples take {prompts} prompts and prefixes of up to {longest} examples out of "
                f"{self.n_prompts} prompts of {self.n_points} points; sample fewer."
            )

    @property
    def n_steps(self) -> int:
        """Step counts of both solvers together."""
        return len(self.newton_steps) + len(self.gd_steps)

    @property
    def n_problems(self) -> int:
        """Prefixes of at least one example, over all prompts."""
        return self.n_prompts * (self.n_points - 1)

    def draw(self) -> tuple[Prompts, Float[Tensor, "layer prompt point"]]:
        """Prompts with standard normal inputs, and random numbers for the layers' predictions; in float64.

        What the layers predict makes no difference to what a comparison with it costs.
        """
        task = LinearRegression(dim=self.dim, n_points=self.n_points, inputs="gaussian")
        prompts = task.sample(self.n_prompts, seed=0).to(dtype=torch.float64)
        noise = torch.randn(
            self.n_layers, *prompts.ys.shape, generator=make_generator(0, "bench layers"), dtype=torch.float64
        )
        return prompts, noise


@dataclass(frozen=True)
class HeatMap:
    """Newton's steps first, then gradient descent's."""

    predictions: Float[Tensor, "step prompt point"]
    similarity: Float[Tensor, "layer step prompt"]


def heat_map(prompts: Prompts, layers: Float[Tensor, "layer prompt point"], workload: Workload) -> HeatMap:
    """Our way: every prefix, prompt and step count at once, from one eigendecomposition per prefix."""
    problems = Regressions.every_prefix(prompts.xs, prompts.ys)
    newton = Newton(scale="frobenius")
    gd = GradientDescent(lr=workload.lr, normalize="sum")
    predictions = torch.cat([newton.predict(problems, workload.newton_steps), gd.predict(problems, workload.gd_steps)])
    return HeatMap(predictions, similarity_of_errors(layers, predictions, problems.targets))
