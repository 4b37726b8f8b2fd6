"""What every analysis of a sweep has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from interp._seeds import derive_seed
from interp.models.any_model import AnyModel
from interp.tasks import Prompts, TokenSequences

Number = float | int | str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an analysis found in one model."""

    numbers: dict[str, Number]
    """The few that the table of results has, one column each."""
    table: pd.DataFrame
    """All of it, tidy."""


@dataclass(frozen=True, kw_only=True)
class AbstractAnalysis(ABC):
    """Something measured of a trained model. Its fields are options.

    Prompts are the same for all runs of one task, and none that training draws.
    """

    kind: ClassVar[str]
    """Its name in a sweep file."""
    title: ClassVar[str]
    """Heading of its section in the report."""
    introduction: ClassVar[str]
    """What the section shows."""
    drawn: ClassVar[dict[str, str]]
    """Which of its numbers are drawn against the swept fields, each with the label of its axis."""
    drawn_beside: ClassVar[dict[str, tuple[str, str]]] = {}
    """The control that is drawn with a number, and what it is called: no number stands alone."""
    drawn_apart: ClassVar[dict[str, str]] = {}
    """For a number that means something else with each value of another (a step of GD is none of Newton's), that
    other: no mean is taken over both."""
    drawn_log: ClassVar[frozenset[str]] = frozenset()
    """Those whose axis is logarithmic where they span much; scores with a zero and a best value are not among them."""
    of_language_models: ClassVar[bool] = False
    """Whether it takes language models beside those of in-context regression."""

    seed: int = 0
    """Seed of the prompts."""

    @abstractmethod
    def measure(self, model: AnyModel) -> Measured:
        """Analyse a trained model."""

    def sample(self, model: AnyModel, count: int) -> Prompts | Any:
        """Prompts of the model's task to measure on, on the model's device if they are token sequences."""
        drawn = model.task.sample(count, seed=derive_seed(self.seed, "evaluation"))
        return drawn.to(next(model.parameters()).device) if isinstance(drawn, TokenSequences) else drawn


def require_at_least(kind: str, option: str, value: int, least: int) -> None:
    """Raise ValueError for an option below what the analysis can work with."""
    if value < least:
        raise ValueError(f"`{option}` of the analysis {kind!r} must be at least {least}, got {value}.")
