"""Spectral solvers whose steps may differ from each other."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Spectrum
from interp.solvers.spectral import Responses, SpectralSolver

StepValues = Mapping[str, Sequence[float] | Float[Tensor, " one_per_step"]]
"""Hyperparameters by name, each with one value per step; tensors may carry gradients."""


@dataclass(frozen=True, kw_only=True)
class StepwiseSolver(SpectralSolver):
    """A spectral solver that unrolls its steps, each of which may have hyperparameters of its own.

    Those named in ``stepwise`` are one number shared by all steps, or a tuple with one per step, of which k steps use
    the first k. Raises ValueError where two tuples differ in length, and when asked for more steps than a tuple has.
    """

    stepwise: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        lengths = {len(value) for value in self._tuples().values()}
        if len(lengths) > 1:
            names = " and ".join(f"`{name}`" for name in self.stepwise)
            raise ValueError(f"{names} must cover the same number of steps, got {sorted(lengths)}.")

    @abstractmethod
    def unrolled(self, spectrum: Spectrum, steps: Sequence[int], values: StepValues) -> Responses:
        """The response step by step, with these values in place of the solver's own. Differentiable in them."""

    @final
    def values_by_step(self, n_steps: int) -> dict[str, tuple[float, ...]]:
        """The first ``n_steps`` values of every stepwise hyperparameter; a shared one is repeated."""
        for name, value in self._tuples().items():
            if len(value) < n_steps:
                raise ValueError(
                    f"{self.name} was given {len(value)} values of `{name}`, one per step, and asked for {n_steps} "
                    "steps; give as many values as steps, or one number for all."
                )
        values = {name: getattr(self, name) for name in self.stepwise}
        return {
            name: value[:n_steps] if isinstance(value, tuple) else (value,) * n_steps for name, value in values.items()
        }

    def _tuples(self) -> dict[str, tuple[float, ...]]:
        values = {name: getattr(self, name) for name in self.stepwise}
        return {name: value for name, value in values.items() if isinstance(value, tuple)}
