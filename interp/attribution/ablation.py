"""What breaks without a head."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp._progress import track
from interp._seeds import make_generator
from interp.matching.readouts import columns_of, run_options
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import bootstrap_mean

N_DRAWS = 20
"""Random perturbations that an ablation is held against."""


@contextmanager
def head_ablated(
    model: HookedRegressor, layer: int, head: int, mode: Literal["zero", "mean"] = "zero"
) -> Iterator[HookedRegressor]:
    """Silence one head for as long as the context lasts. ``layer`` counts blocks from 0, as hook names do.

    ``zero`` removes what the head adds to the stream; ``mean`` replaces it by its mean over the prompts of the batch,
    position by position. Raises ValueError for a head the model lacks and for another mode.
    """
    _check_head(model, layer, head)
    if mode not in ("zero", "mean"):
        raise ValueError(f"Unknown mode of ablation {mode!r}; known are zero, mean.")

    def ablate(z: Float[Tensor, "prompt pos head d_head"], hook: HookPoint) -> Tensor:
        index = torch.tensor([head], device=z.device)
        if mode == "zero":
            return z.index_fill(2, index, 0.0)
        mean = z[:, :, head].mean(0, keepdim=True).expand_as(z[:, :, head])
        return z.index_copy(2, index, mean[:, :, None])

    with model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", ablate)]):
        yield model


@torch.no_grad()
def ablation_effects(
    model: HookedRegressor, prompts: Prompts, *, n_draws: int = N_DRAWS, seed: int = 0
) -> pd.DataFrame:
    """How much the loss (half the mean squared error) rises when each head is ablated.

    One row per (layer, head, intervention): ``zero`` and ``mean`` ablation with 95 % intervals over prompts, and
    ``random``, the control: instead of its own output, each position loses a vector of the same norm in a random
    direction, ``n_draws`` times; its interval covers the middle 95 % of the draws. Columns: layer (of blocks, from 1),
    head, intervention, loss, increase, ci_low, ci_high.
    """
    baseline = _losses(model, prompts)
    rows: list[dict[str, Any]] = []
    n_heads = model.cfg.n_layers * model.cfg.n_heads
    with track("ablate heads", n_heads * (2 + n_draws)) as tracker:
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                for mode in ("zero", "mean"):
                    with head_ablated(model, layer, head, mode):
                        rise = _losses(model, prompts) - baseline
                    tracker.advance()
                    interval = bootstrap_mean(rise)
                    rows.append(_row(layer, head, mode, baseline, rise.mean(), interval.low, interval.high))
                draws = []
                for draw in range(n_draws):
                    with _perturbed(model, layer, head, make_generator(seed, "perturbation", layer, head, draw)):
                        draws.append(float((_losses(model, prompts) - baseline).mean()))
                    tracker.advance()
                low, high = np.percentile(draws, [2.5, 97.5])
                rows.append(_row(layer, head, "random", baseline, float(np.mean(draws)), low, high))
    return pd.DataFrame(rows)


def confirmed_heads(effects: pd.DataFrame) -> list[tuple[int, int]]:
    """(layer, head) of every head whose zero ablation costs more than any usual random perturbation of its size.

    The lower end of the ablation's interval must be above the upper end of the random draws'.
    """
    columns = effects[["layer", "head", "intervention", "ci_low", "ci_high"]]
    ends = {
        (int(layer), int(head), str(intervention)): (float(low), float(high))
        for layer, head, intervention, low, high in columns.itertuples(index=False)
    }
    heads = sorted({(layer, head) for layer, head, _ in ends})
    return [(layer, head) for layer, head in heads if ends[layer, head, "zero"][0] > ends[layer, head, "random"][1]]


@contextmanager
def _perturbed(model: HookedRegressor, layer: int, head: int, generator: torch.Generator) -> Iterator[None]:
    """Take a random vector of the norm of the head's output away from the attention output, at every position."""
    out_weights = model.blocks[layer].attn.W_O[head]  # type: ignore[attr-defined]  # canonical weight layout
    norms: list[Tensor] = []

    def measure(z: Tensor, hook: HookPoint) -> None:
        norms.append((z[:, :, head] @ out_weights).norm(dim=-1, keepdim=True))

    def perturb(attn_out: Float[Tensor, "prompt pos d_model"], hook: HookPoint) -> Tensor:
        direction = torch.randn(attn_out.shape, generator=generator).to(attn_out)
        return attn_out - norms[-1] * direction / direction.norm(dim=-1, keepdim=True)

    name = f"blocks.{layer}"
    with model.hooks(fwd_hooks=[(f"{name}.attn.hook_z", measure), (f"{name}.hook_attn_out", perturb)]):
        yield


def _losses(model: HookedRegressor, prompts: Prompts) -> np.ndarray:
    """Loss of every prompt, half the squared error averaged over its columns."""
    predictions = model(model.tokens(prompts), **run_options(prompts))
    points = columns_of(model, prompts)
    targets = prompts.ys[:, prompts.n_examples :] if points is None else prompts.ys[:, list(points)]
    errors: Tensor = predictions.double() - targets.to(predictions.device).double()
    return (0.5 * errors.square().mean(-1)).cpu().numpy()


def _row(
    layer: int, head: int, intervention: str, baseline: np.ndarray, increase: float, low: float, high: float
) -> dict[str, Any]:
    return {
        "layer": layer + 1,
        "head": head,
        "intervention": intervention,
        "loss": float(baseline.mean() + increase),
        "increase": float(increase),
        "ci_low": float(low),
        "ci_high": float(high),
    }


def _check_head(model: HookedRegressor, layer: int, head: int) -> None:
    cfg = model.cfg
    if not (0 <= layer < cfg.n_layers and 0 <= head < cfg.n_heads):
        raise ValueError(
            f"There is no head {head} in block {layer}: the model has {cfg.n_layers} block(s), counted from 0, "
            f"with {cfg.n_heads} head(s) each."
        )
