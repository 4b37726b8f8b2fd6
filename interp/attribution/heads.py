"""Where attention heads look."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.readouts import run_options
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import bootstrap_mean

SCORES: dict[str, int | None] = {"previous": 1, "current": 0, "next": -1, "first": None}
"""Attention scores by name: the offset from query to key position that they collect, or None for position 0."""

PROMPTS_AT_ONCE = 64
"""Prompts whose patterns are held at a time."""


@torch.no_grad()
def score_heads(model: HookedRegressor, prompts: Prompts) -> pd.DataFrame:
    """Share of each head's attention that goes to the previous, the current, the next and the first token.

    The share is of absolute attention, so that it means the same for linear heads, whose pattern has signs and no
    norm; rows without any attention are left out. It is averaged over the positions that have such a token, then over
    prompts. Columns: layer (of blocks, from 1), head, score, value, ci_low, ci_high, chance (uniform attention
    over the keys in sight). Raises ValueError for a model without heads.
    """
    require_heads(model)
    collected: dict[tuple[int, str], list[Tensor]] = {}
    in_sight: dict[int, Tensor] = {}  # [query key]
    for layer, pattern in absolute_patterns(model, prompts):
        shares = attention_shares(pattern)
        seen = (pattern > 0).any(0).any(0)
        in_sight[layer] = in_sight.get(layer, seen) | seen
        for score, offset in SCORES.items():
            collected.setdefault((layer, score), []).append(_collect(shares, offset))
    rows: list[dict[str, Any]] = []
    for layer in range(model.cfg.n_layers):
        keys = in_sight[layer].double()
        uniform = keys / keys.sum(-1, keepdim=True).clamp(min=1)
        for score, offset in SCORES.items():
            values = torch.cat(collected[layer, score])  # [prompt head]
            chance = float(np.nanmean(_collect(uniform[None, None], offset).numpy()))
            for head in range(model.cfg.n_heads):
                interval = bootstrap_mean(values[:, head].numpy())
                rows.append(
                    {
                        "layer": layer + 1,
                        "head": head,
                        "score": score,
                        "value": interval.estimate,
                        "ci_low": interval.low,
                        "ci_high": interval.high,
                        "chance": chance,
                    }
                )
    return pd.DataFrame(rows)


def absolute_patterns(
    model: HookedRegressor, prompts: Prompts
) -> Iterator[tuple[int, Float[Tensor, "prompt head query key"]]]:
    """Every block (counted from 0) with its pattern's absolute values in float64, some prompts at a time."""
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        batch = prompts[start : start + PROMPTS_AT_ONCE]
        with torch.no_grad():
            _, cache = model.run_with_cache(
                model.tokens(batch), names_filter=lambda name: name in names, **run_options(batch)
            )
        for layer, name in enumerate(names):
            yield layer, cache[name].double().abs().cpu()


def attention_shares(
    pattern: Float[Tensor, "prompt head query key"],
) -> Float[Tensor, "prompt head query key"]:
    """Every row divided by its sum; NaN in rows without any attention."""
    total = pattern.sum(-1, keepdim=True)
    return torch.where(total > 0, pattern / total.where(total > 0, 1.0), torch.nan)


def require_heads(model: HookedRegressor) -> None:
    """Raise ValueError for a model that does not attend."""
    if model.cfg.n_heads == 0:
        raise ValueError(
            "The model has no attention heads (cfg.n_heads is 0); token_dependency, which needs none, shows what moves "
            "between its positions."
        )


def _collect(shares: Float[Tensor, "prompt head query key"], offset: int | None) -> Float[Tensor, "prompt head"]:
    """Mean share at an offset (or at key 0, from the queries after it) over the query positions that attend at all."""
    picked = shares[..., 1:, 0] if offset is None else shares.diagonal(-offset, dim1=-2, dim2=-1)
    return picked.nanmean(-1).nan_to_num(nan=0.0)
