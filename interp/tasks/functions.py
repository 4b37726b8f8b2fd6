"""Hidden functions of standard normal inputs: what such tasks share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.laws import draw_inputs
from interp.tasks.prompts import Prompts
from interp.tasks.task import check_counts


@dataclass(frozen=True, kw_only=True)
class AbstractFunctions(ABC):
    """Prompts whose targets are a function of standard normal inputs, drawn for each prompt, without noise.

    Prompts hold the parameters of their function in ``function``; their ``w`` is None. A subclass says what the
    parameters are and what they do. Raises ValueError for sizes below 1.
    """

    dim: int = 20
    n_points: int = 101
    """Points of a prompt, the query included: one more than the number of examples it is answered from."""

    def __post_init__(self) -> None:
        for name in ("dim", "n_points"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """How many numbers fix a function."""

    @abstractmethod
    def draw(self, n_prompts: int, seed: int) -> Float[Tensor, "prompt parameter"]:
        """The functions of so many prompts, from streams of the seed of their own."""

    @abstractmethod
    def evaluate(
        self, function: Float[Tensor, "prompt parameter"], xs: Float[Tensor, "prompt point dim"]
    ) -> Float[Tensor, "prompt point"]:
        """What each prompt's function is at its inputs."""

    @final
    def sample(self, n_prompts: int, seed: int = 0, n_queries: int = 1) -> Prompts:
        """Draw ``n_prompts`` prompts of ``n_points - 1`` examples and ``n_queries`` queries, in float32 on the CPU.

        The same arguments give the same prompts, bit for bit. Inputs are those of `LinearRegression` with
        ``inputs="gaussian"`` and the same dim, sizes and seed.
        """
        check_counts(n_prompts, n_queries)
        shape = (n_prompts, self.n_points - 1 + n_queries, self.dim)
        xs = draw_inputs("gaussian", shape, make_generator(seed, "inputs"))
        function = self.draw(n_prompts, seed)
        return Prompts(xs=xs, ys=self.evaluate(function, xs), n_queries=n_queries, function=function)

    @final
    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """The same contexts and functions with ``n_queries`` fresh queries each.

        Raises ValueError for prompts that do not hold a function of this task, whose answers nobody knows.
        """
        expected = (len(prompts), self.n_parameters)
        if prompts.function is None or prompts.function.shape != expected:
            came = "none (`function` is None)" if prompts.function is None else f"shape {tuple(prompts.function.shape)}"
            raise ValueError(
                f"New queries are answered by the prompts' functions, for {type(self).__name__} numbers of shape "
                f"{expected}, and these prompts have {came}. "
                "Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
            )
        shape = (len(prompts), n_queries, self.dim)
        xs = draw_inputs("gaussian", shape, make_generator(seed, "more inputs")).to(prompts.xs)
        return prompts.with_queries(xs, self.evaluate(prompts.function, xs))
