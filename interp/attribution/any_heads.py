"""Where attention heads look, in models of either sort."""

from typing import Any

import pandas as pd

from interp.attribution import heads
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts, TokenSequences


def score_heads(
    model: HookedRegressor | Any, prompts: Prompts | TokenSequences | None = None, **options: Any
) -> pd.DataFrame:
    """Score every head by where it looks: one row per (layer, head, score).

    A model of in-context regression takes ``prompts``, and its scores are by offset; see
    `interp.attribution.heads.score_heads`. A language model, which is a `TransformerBridge` of TransformerLens, takes
    token sequences or the options to draw them; see `interp.attribution.language.score_language_heads`. Both tables
    have the columns layer (of blocks, from 1), head, score, value, ci_low, ci_high and chance. Raises ValueError as
    these two do, and TypeError where model and prompts are of different sorts.
    """
    if not isinstance(model, HookedRegressor):
        from interp.attribution.language import score_language_heads  # takes seconds to import

        if isinstance(prompts, Prompts):
            raise TypeError(
                "A language model needs TokenSequences to score its heads on, or none to draw them; got Prompts."
            )
        return score_language_heads(model, prompts, **options)
    if not isinstance(prompts, Prompts):
        raise TypeError(
            f"A model of in-context regression needs prompts to score its heads on, got {type(prompts).__name__}; "
            "draw them by model.task.sample(n_prompts)."
        )
    return heads.score_heads(model, prompts, **options)
