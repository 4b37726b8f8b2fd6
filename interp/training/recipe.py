"""What a training run is, but for its seed."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, final

from interp.models.any_config import RegressionConfig
from interp.models.config import TransformerConfig
from interp.models.token_config import TokenModelConfig
from interp.tasks import AnyTask, LinearRegression, RepeatedTokens
from interp.training.curriculum import Curriculum


@dataclass(frozen=True, kw_only=True)
class AbstractRecipe:
    """Model, task and optimisation of a run. The command line overrides any field by its name.

    Raises ValueError for numbers out of range, and where model and task do not fit.
    """

    name: str
    model: Any
    task: Any
    steps: int = 1000
    """Number of updates."""
    batch_size: int = 64
    """Prompts of one update, drawn anew each time."""
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float | None = None
    """Global norm that gradients are clipped to."""
    warmup: int = 0
    """Updates over which lr rises linearly from 0."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What lr does after the warm-up: stay, or fall to 0 along half a cosine."""
    frozen: tuple[str, ...] = ()
    """Parameters that keep their initial values, by the last part of their names, such as ``W_Q``."""
    log_every: int = 10
    """Updates between two lines of metrics.jsonl."""
    resume_every: int = 500
    """Updates between two resume points."""
    keep_every: int = 0
    """Updates between checkpoints that stay beside the log-spaced ones; 0 for the log-spaced alone."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "resume_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"Recipe {self.name!r}: `{name}` must be at least 1, got {getattr(self, name)}.")
        if self.keep_every < 0:
            raise ValueError(f"Recipe {self.name!r}: `keep_every` must be at least 0, got {self.keep_every}.")
        if not 0 <= self.warmup <= self.steps:
            raise ValueError(f"Recipe {self.name!r}: `warmup` must lie in 0..{self.steps}, got {self.warmup}.")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"Recipe {self.name!r}: `lr` must be positive and finite, got {self.lr}.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"Recipe {self.name!r}: `betas` must lie in [0, 1), got {self.betas}.")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"Recipe {self.name!r}: `weight_decay` must be finite and not negative, got {self.weight_decay}."
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"Recipe {self.name!r}: `clip_norm` must be positive or none, got {self.clip_norm}.")

    def lr_at(self, step: int) -> float:
        """Learning rate of update ``step`` (0, 1, ...)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * done))


@final
@dataclass(frozen=True, kw_only=True)
class Recipe(AbstractRecipe):
    """How a model of in-context regression is trained: half the mean squared error over the predicted points."""

    model: RegressionConfig = field(default_factory=TransformerConfig)
    task: AnyTask = field(default_factory=LinearRegression)
    curriculum: Curriculum | None = None
    """Easier prompts for the first updates; those of the task from the start if none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curriculum is not None:
            self.curriculum.check(self.task, self.name)
        if self.model.dim != self.task.dim:
            raise ValueError(
                f"Recipe {self.name!r}: the model reads inputs of dim {self.model.dim}, the task draws them of dim "
                f"{self.task.dim}; change both."
            )


@final
@dataclass(frozen=True, kw_only=True)
class LanguageRecipe(AbstractRecipe):
    """How a language model is trained: the mean cross-entropy of every next token."""

    model: TokenModelConfig = field(default_factory=TokenModelConfig)
    task: RepeatedTokens = field(default_factory=lambda: RepeatedTokens(d_vocab=TokenModelConfig.d_vocab))

    def __post_init__(self) -> None:
        super().__post_init__()
        if misfit := self.model.misfit(self.task):
            raise ValueError(f"Recipe {self.name!r}: {misfit}")


AnyRecipe = Recipe | LanguageRecipe
"""What `train` trains by."""
