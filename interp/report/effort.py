"""How many prompts an analysis can afford, so that the report on a large model takes minutes too."""

from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

BUDGET = 5e11
"""Multiplications that one analysis may spend: some ten to twenty seconds on two cores."""


def forward_cost(model: HookedRegressor, prompts: Prompts) -> float:
    """Multiplications of a pass over one prompt, as of a transformer with MLPs of four times its width."""
    n_tokens = 2 * prompts.n_points
    width = model.cfg.d_model
    return model.cfg.n_layers * n_tokens * width * (12 * width + 2 * n_tokens)


def affordable_prompts(model: HookedRegressor, prompts: Prompts, passes: float, *, least: int, most: int) -> int:
    """As many prompts as the budget pays so many passes for, between ``least`` and ``most``.

    It depends on the model and the prompts alone, so that a report is the same on every machine.
    """
    return int(min(most, max(least, BUDGET / (passes * forward_cost(model, prompts)))))
