"""A pass over prompts that interventions take up again where they begin."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Float
from torch import Tensor

from interp.matching.readouts import columns_of, run_options
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.tasks import Prompts


@dataclass(frozen=True)
class Resumed:
    """A model's pass over some prompts, which can be taken up again at any block, where it is one of ours.

    What an intervention in a block leaves as it was, the blocks before it, need not be computed again.
    """

    model: HookedRegressor
    prompts: Prompts
    tokens: Float[Tensor, "prompt pos d_token"]
    streams: list[Float[Tensor, "prompt pos d_model"]]
    """What enters each block; empty for models that always start from the tokens."""

    @classmethod
    def of(cls, model: HookedRegressor, prompts: Prompts) -> Self:
        """Run the model once, and keep what the blocks read."""
        tokens = model.tokens(prompts)
        if not isinstance(model, RegressionTransformer):
            return cls(model, prompts, tokens, [])
        names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names, **run_options(prompts))
        return cls(model, prompts, tokens, [cache[name] for name in names])

    def predictions(self, layer: int) -> Float[Tensor, "prompt column"]:
        """The model's answers, computed anew from block ``layer`` on, under the hooks that are on it now."""
        options = run_options(self.prompts)
        if isinstance(self.model, RegressionTransformer):
            return self.model.forward_from(self.streams[layer], layer, **options)
        return self.model(self.tokens, **options)

    def losses(self, layer: int) -> Float[np.ndarray, " prompt"]:
        """Half the squared error of every prompt, averaged over its columns, starting at block ``layer``."""
        predictions = self.predictions(layer)
        points = columns_of(self.model, self.prompts)
        ys = self.prompts.ys
        targets = ys[:, self.prompts.n_examples :] if points is None else ys[:, list(points)]
        errors: Tensor = predictions.double() - targets.to(predictions.device).double()
        return (0.5 * errors.square().mean(-1)).cpu().numpy()
