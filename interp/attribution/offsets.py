"""Where heads look from x tokens and from y tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.attribution.heads import absolute_patterns, attention_shares, require_heads
from interp.attribution.neighbours import WAYS, Way, require_neighbours
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import bootstrap_mean

FURTHEST = 3
"""Tokens that attention is followed to, in either direction."""


def attention_by_offset(
    model: HookedRegressor,
    prompts: Prompts,
    heads: Sequence[tuple[int, int]] | None = None,
    *,
    furthest: int = FURTHEST,
) -> pd.DataFrame:
    """Share of attention by distance, for the x and the y tokens of the examples apart.

    Columns: layer (of blocks, from 1), head, reader (x, y), offset (position of the reader minus that of the token it
    reads: 1 is the token before), value with its 95 % interval over prompts. The share is of absolute attention, the
    token itself and the query included, averaged over the readers that have such a token among the examples; rows
    without any attention are left out. ``heads`` are (layer, head) as in the table; all if none are given. Raises
    ValueError for models without heads or without neighbours.
    """
    require_heads(model)
    require_neighbours(model, prompts)
    n_tokens = 2 * prompts.n_examples
    places = {
        (reader, offset): [r for r in range(first, n_tokens, 2) if 0 <= r - offset < n_tokens]
        for first, reader in enumerate(("x", "y"))
        for offset in range(-furthest, furthest + 1)
    }
    collected: dict[tuple[int, str, int], list[Tensor]] = {}
    for layer, pattern in absolute_patterns(model, prompts):
        shares = attention_shares(pattern)
        for (reader, offset), readers in places.items():
            found = _mean_over_readers(shares[:, :, readers, [r - offset for r in readers]])
            collected.setdefault((layer, reader, offset), []).append(found)
    rows: list[dict[str, Any]] = []
    every = [(layer + 1, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    for layer, head in every if heads is None else heads:
        for reader, offset in places:
            value = bootstrap_mean(torch.cat(collected[layer - 1, reader, offset])[:, head].numpy())
            row = {"layer": layer, "head": head, "reader": reader, "offset": offset}
            rows.append({**row, "value": value.estimate, "ci_low": value.low, "ci_high": value.high})
    return pd.DataFrame(rows)


def neighbour_attention(model: HookedRegressor, prompts: Prompts) -> dict[str, Float[np.ndarray, "layer head prompt"]]:
    """By way, the neighbour's share of all attention that a reader pays to tokens other than itself.

    Attention to oneself moves nothing between tokens, and a softmax that has nothing to fetch has to spend itself
    somewhere. Averaged over the readers that attend to others at all; 0 where none does.
    """
    collected: dict[tuple[str, int], list[Tensor]] = {}
    for layer, pattern in absolute_patterns(model, prompts):
        others = pattern * (1 - torch.eye(pattern.shape[-1], dtype=pattern.dtype))
        shares = attention_shares(others)
        for name, way in WAYS.items():
            collected.setdefault((name, layer), []).append(_of_neighbour(shares, way, prompts.n_examples))
    layers = range(model.cfg.n_layers)
    return {name: torch.stack([torch.cat(collected[name, layer]).T for layer in layers]).numpy() for name in WAYS}


def _of_neighbour(
    shares: Float[Tensor, "prompt head query key"], way: Way, n_examples: int
) -> Float[Tensor, "prompt head"]:
    readers = way.readers(n_examples)
    return _mean_over_readers(shares[:, :, readers, [reader - way.offset for reader in readers]])


def _mean_over_readers(picked: Float[Tensor, "prompt head reader"]) -> Float[Tensor, "prompt head"]:
    return picked.nanmean(-1).nan_to_num(nan=0.0)
