"""Token dependency as von Oswald et al.'s code measures it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.attribution.neighbours import require_neighbours
from interp.attribution.over_training import models_over_training
from interp.matching.readouts import hook_names, prompt_losses
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import bootstrap_mean


def published_sensitivity(model: HookedRegressor, prompts: Prompts, *, layer: int = 1) -> dict[str, float]:
    """How the state after ``layer`` blocks depends on its own token, the next and the others, in the published way.

    The channels of a position's stream are summed, the gradient of that sum by the raw tokens (without positions) is
    averaged over the prompts, and only then its norm taken: terms of different sign cancel, and the stream's own token
    counts the square root of a token's width from the start. Averaged over all positions of the examples but the last;
    "other" is the mean over the rest of the examples' tokens, the next one included. x and y tokens are not told apart
    (von Oswald et al. 2022, Fig. 5; `dependency_over_training` is the measure to prefer). Raises ValueError for models
    without neighbours.
    """
    require_neighbours(model, prompts)
    gradients = _mean_gradients(model, prompts, layer)
    n_tokens = 2 * prompts.n_examples
    norms = gradients.norm(dim=-1)[: n_tokens - 1, :n_tokens]  # [reader source]
    own, following = norms.diagonal(), norms.diagonal(1)
    return {
        "own": float(own.mean()),
        "next": float(following.mean()),
        "other": float((norms.sum(1) - own).mean() / (n_tokens - 1)),
    }


def published_sensitivity_over_training(
    folder: Path | str,
    prompts: Prompts,
    *,
    checkpoints: Sequence[int] | None = None,
    layer: int = 1,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """`published_sensitivity` at every checkpoint of a run: one row per (update, source).

    Columns: update, loss with loss_low and loss_high, source (own, next, other), value. Raises as
    `dependency_over_training`.
    """
    rows = []
    for step, model in models_over_training(folder, checkpoints, device):
        loss = bootstrap_mean(prompt_losses(model, prompts))
        for source, value in published_sensitivity(model, prompts, layer=layer).items():
            row = {"update": step, "loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high}
            rows.append(row | {"source": source, "value": value})
    return pd.DataFrame(rows)


def _mean_gradients(model: HookedRegressor, prompts: Prompts, layer: int) -> Float[Tensor, "pos pos d_token"]:
    """Mean over prompts of d (sum of a position's channels) / d token, in float64."""
    kept: list[Tensor] = []

    def keep(activation: Tensor, hook: HookPoint) -> None:
        kept.append(activation)

    tokens = model.tokens(prompts).detach().requires_grad_()
    with torch.enable_grad():
        model.run_with_hooks(tokens, fwd_hooks=[(hook_names(model)[layer], keep)])
        sums = kept[0].sum((0, 2))  # prompts do not see each other, so that one pass serves all of them
        gradients = [torch.autograd.grad(total, tokens, retain_graph=True)[0].double().mean(0) for total in sums]
    return torch.stack(gradients).cpu()
