"""The interface of every solver."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.search import Range
from interp.solvers.trace import SolverTrace


@dataclass(frozen=True, kw_only=True)
class AbstractSolver(ABC):
    """An algorithm for in-context regression. Hyperparameters are fields; data are arguments."""

    name: ClassVar[str]
    default_steps: ClassVar[tuple[int, ...]]
    """Step counts that a match tries when the caller names none."""

    @final
    def run(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"], steps: Sequence[int]
    ) -> SolverTrace:
        """Solve every prefix of every prompt, and keep the iterates at ``steps``.

        ``steps`` counts updates; 0 is the start. A one-shot solver gives the same answer at each. Raises ValueError
        for inputs that do not fit together or are not finite, and for negative or missing step counts.
        """
        return self.trace(Regressions.every_prefix(xs, ys), check_steps(steps))

    @abstractmethod
    def trace(self, problems: Regressions, steps: Sequence[int]) -> SolverTrace:
        """Iterates on the given problems, at ``steps`` as in `run`.

        In place of points, predictions are [step prompt column] and weights [step prompt prefix dim].
        """

    @abstractmethod
    def predict(self, problems: Regressions, steps: Sequence[int]) -> Float[Tensor, "step prompt column"]:
        """The predictions of `trace` alone, for searches that evaluate many hyperparameters."""

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """The free hyperparameters and where to look for them, in the units of this data. None by default."""
        del spectrum
        return {}

    @final
    def describe(self) -> str:
        """Hyperparameters in one line, such as ``lr=6.06, normalize=mean``."""
        shown = ((field.name, getattr(self, field.name)) for field in fields(self))
        parts = [f"{key}={_short(value)}" for key, value in shown if value is not None]
        return ", ".join(parts)


def check_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """Return ``steps`` as a tuple, or raise ValueError when there are none or one is not a count."""
    counts = tuple(int(step) for step in steps)
    if not counts or min(counts) < 0 or any(count != step for count, step in zip(counts, steps, strict=True)):
        raise ValueError(f"`steps` needs at least one step count, each a whole number from 0 up; got {list(steps)}.")
    return counts


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
