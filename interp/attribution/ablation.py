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
from interp.attribution.heads import require_heads
from interp.attribution.resumed import Resumed
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
    model: HookedRegressor, prompts: Prompts, *, n_draws: int = N_DRAWS, n_controlled: int = 0, seed: int = 0
) -> pd.DataFrame:
    """How much the loss (half the mean squared error) rises when each head is ablated.

    One row per (layer, head, intervention): ``zero`` and ``mean`` ablation with 95 % intervals over prompts, and
    ``random``, the control: instead of its own output, each position loses a vector of the same norm in a random
    direction, ``n_draws`` times (0: not at all); its interval covers the middle 95 % of the draws. The control, which
    takes most of the time, is run for the ``n_controlled`` heads whose zero ablation costs most (0: for all). Columns:
    layer (of blocks, from 1), head, intervention, loss, increase, ci_low, ci_high. Raises ValueError for a model
    without heads.
    """
    require_heads(model)
    resumed = Resumed.of(model, prompts)
    baseline = resumed.losses(0)
    heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    n_controlled = min(n_controlled or len(heads), len(heads)) if n_draws else 0
    rows: dict[tuple[int, int, str], dict[str, Any]] = {}
    with track("ablate heads", 2 * len(heads) + n_draws * n_controlled) as tracker:
        for layer, head in heads:
            for mode in ("zero", "mean"):
                with head_ablated(model, layer, head, mode):
                    rise = resumed.losses(layer) - baseline
                tracker.advance()
                interval = bootstrap_mean(rise)
                rows[layer, head, mode] = _row(layer, head, mode, baseline, rise.mean(), interval.low, interval.high)
        costly = sorted(heads, key=lambda at: -rows[(*at, "zero")]["increase"])[:n_controlled]
        for layer, head in costly:
            draws = []
            for draw in range(n_draws):
                with _perturbed(model, layer, head, make_generator(seed, "perturbation", layer, head, draw)):
                    draws.append(float((resumed.losses(layer) - baseline).mean()))
                tracker.advance()
            low, high = np.percentile(draws, [2.5, 97.5])
            rows[layer, head, "random"] = _row(layer, head, "random", baseline, float(np.mean(draws)), low, high)
    order = {name: place for place, name in enumerate(("zero", "mean", "random"))}
    return pd.DataFrame([rows[key] for key in sorted(rows, key=lambda key: (*key[:2], order[key[2]]))])


def confirmed_heads(effects: pd.DataFrame) -> list[tuple[int, int]]:
    """(layer, head) of every head whose zero ablation costs more than any usual random perturbation of its size.

    The lower end of the ablation's interval must be above the upper end of the random draws'; a head without that
    control is not confirmed.
    """
    columns = effects[["layer", "head", "intervention", "ci_low", "ci_high"]]
    ends = {
        (int(layer), int(head), str(intervention)): (float(low), float(high))
        for layer, head, intervention, low, high in columns.itertuples(index=False)
    }
    heads = sorted({(layer, head) for layer, head, intervention in ends if intervention == "random"})
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
