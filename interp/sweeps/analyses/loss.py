"""The loss on prompts that training did not see."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from interp.matching.readouts import prompt_losses
from interp.matching.twins import FIRST_SEED
from interp.models.any_model import AnyModel
from interp.models.regressor import RegressionModel
from interp.sweeps.analyses.analysis import AbstractAnalysis, Measured, require_at_least
from probes import bootstrap_mean

SEQUENCES_AT_ONCE = 64


@final
@dataclass(frozen=True, kw_only=True)
class HeldOutLoss(AbstractAnalysis):
    """What the recipe minimises, on held-out prompts, beside that of the model before training."""

    kind: ClassVar[str] = "loss"
    title: ClassVar[str] = "Held-out loss"
    introduction: ClassVar[str] = (
        "Half the mean squared error (of language models, the cross-entropy of the next token) on prompts that "
        "training did not draw, the same for all runs of one task."
    )
    drawn: ClassVar[dict[str, str]] = {"loss": "held-out loss"}
    drawn_beside: ClassVar[dict[str, tuple[str, str]]] = {"loss": ("loss_untrained", "before training")}
    drawn_log: ClassVar[frozenset[str]] = frozenset({"loss"})
    of_language_models: ClassVar[bool] = True

    n_prompts: int = 4096

    def __post_init__(self) -> None:
        require_at_least(self.kind, "n_prompts", self.n_prompts, 2)

    def measure(self, model: AnyModel) -> Measured:
        """Losses of the model and of what it was before training, with intervals over prompts."""
        prompts = self.sample(model, self.n_prompts)
        trained = bootstrap_mean(_losses(model, prompts))
        untrained = bootstrap_mean(_losses(_untrained(model), prompts))
        return Measured(
            numbers={
                "loss": trained.estimate,
                "loss_low": trained.low,
                "loss_high": trained.high,
                "loss_untrained": untrained.estimate,
            },
            table=pd.DataFrame(
                {"model": name, "loss": loss.estimate, "ci_low": loss.low, "ci_high": loss.high}
                for name, loss in (("the model", trained), ("its initial weights", untrained))
            ),
        )


def _losses(model: AnyModel, prompts: Any) -> Float[np.ndarray, " prompt"]:
    if isinstance(model, RegressionModel):
        return prompt_losses(model, prompts)
    batches = (prompts[start : start + SEQUENCES_AT_ONCE] for start in range(0, len(prompts), SEQUENCES_AT_ONCE))
    with torch.no_grad():
        losses = [model(batch.tokens, return_type="loss", loss_per_token=True).mean(-1) for batch in batches]
    return np.asarray(torch.cat(losses).double().cpu())


def _untrained(model: AnyModel) -> AnyModel:
    """The model as it was before training, if it was trained here; else a twin of it."""
    seed = FIRST_SEED if model.info is None or model.info.seed is None else model.info.seed
    if isinstance(model, RegressionModel):
        return model.untrained_twin(seed)
    from interp.models.language_twins import untrained_language_twin  # takes seconds to import

    return untrained_language_twin(model, seed)
