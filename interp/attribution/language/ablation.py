"""What breaks in a language model without some of its heads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

from interp._progress import track
from interp._seeds import make_generator
from interp.attribution.language.controls import (
    COMPARED,
    FEWEST,
    N_DRAWS,
    Head,
    check_heads,
    compare,
    control_sets,
    names_of,
)
from interp.attribution.language.directions import random_directions_taken
from interp.attribution.language.losses import parts_of
from interp.attribution.language.observe import batches, check_sequences, observe
from interp.attribution.language.outputs import Means, Outputs, heads_in, silenced
from interp.models.language_checks import check_language_model
from interp.tasks import TokenSequences

Mode = Literal["zero", "mean"]
MODES: tuple[Mode, ...] = ("zero", "mean")
"""Kinds of ablation: a head's output is removed, or replaced by its mean."""


@contextmanager
def heads_ablated(
    bridge: TransformerBridge,
    heads: Sequence[Head],
    means: Means | None = None,
) -> Iterator[TransformerBridge]:
    """Silence a set of heads, (layer, head) with layers from 0 as in hook names, for as long as the context lasts.

    Their outputs become 0, or the ``means`` that `mean_outputs` measured, position by position. Raises ValueError for
    a head that the model lacks.
    """
    check_heads(heads, bridge.cfg.n_layers, bridge.cfg.n_heads)

    def silence(layer: int) -> Callable[[Tensor, HookPoint], Tensor]:
        def edit(z: Outputs, hook: HookPoint) -> Tensor:
            return silenced(z, layer, heads_in(heads, layer), means)

        return edit

    hooks = [(f"blocks.{layer}.attn.hook_z", silence(layer)) for layer in sorted({layer for layer, _ in heads})]
    with bridge.hooks(fwd_hooks=hooks):
        yield bridge


@torch.no_grad()
def mean_outputs(bridge: TransformerBridge, sequences: TokenSequences) -> Means:
    """Every head's output before W_O, mean over the sequences, position by position."""
    n_layers = bridge.cfg.n_layers
    sums: dict[int, Tensor] = {}

    def collector(layer: int) -> Callable[[Tensor, HookPoint], None]:
        def collect(z: Outputs, hook: HookPoint) -> None:
            sums[layer] = sums.get(layer, 0) + z.sum(0)

        return collect

    with bridge.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", collector(layer)) for layer in range(n_layers)]):
        for batch in batches(bridge, sequences):
            bridge(batch.tokens, return_type=None)
    return torch.stack([sums[layer] for layer in range(n_layers)]) / len(sequences)


def ablation_of_heads(
    bridge: TransformerBridge,
    sequences: TokenSequences,
    sets: Mapping[str, Sequence[Head]],
    *,
    reference: TokenSequences,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """How much the loss rises without the heads that were found, one by one and set by set.

    ``sets`` names sets of heads, (layer, head) with layers from 0 as in hook names: those with one label, say. Each
    head is ablated alone, each set together, and if there are several sets all of them together. Means are taken over
    ``reference``, other sequences of the same length: a mean over the very sequences that it stands in for would hand
    on part of what was taken away. The control ablates as many *heads* of the same layers that are in none of the sets:
    every such choice, or ``n_draws`` of them at random. Where there are fewer than 3 of these choices it takes away
    random *directions* instead, as long as what the heads wrote, ``n_draws`` times.

    One row per (set, heads, mode, part). Columns: set, heads (layer.head, layers from 1), mode (zero or mean), part
    (first pass, repeat), loss (without the heads), control (heads or directions), change, ci_low, ci_high (95 %
    bootstrap over sequences), random, random_low, random_high (mean and middle 95 % over the draws of the control),
    n_random, verdict (see `compare`).
    Raises ValueError as `check_language_model` and `check_sequences` do, for a reference of another length, for heads
    that the model lacks, and for sequences without repeats.
    """
    check_language_model(bridge)
    check_sequences(bridge, sequences)
    check_sequences(bridge, reference)
    if reference.n_pos != sequences.n_pos:
        raise ValueError(
            f"Means at each position need a reference as long as the sequences, {sequences.n_pos} tokens, got "
            f"{reference.n_pos}."
        )
    found = [head for heads in sets.values() for head in heads]
    check_heads(found, bridge.cfg.n_layers, bridge.cfg.n_heads)
    means = mean_outputs(bridge, reference)
    baseline = parts_of(observe(bridge, sequences), sequences)

    @cache
    def rise(heads: frozenset[Head], mode: Mode) -> dict[str, Float[np.ndarray, " prompt"]]:
        def ablate(batch: TokenSequences) -> AbstractContextManager[object]:
            return heads_ablated(bridge, sorted(heads), means if mode == "mean" else None)

        parts = parts_of(observe(bridge, sequences, ablate), sequences)
        return {name: parts[name] - baseline[name] for name in parts}

    def perturbed(heads: Sequence[Head], mode: Mode, draw: int) -> dict[str, Float[np.ndarray, " prompt"]]:
        generator = make_generator(seed, "random directions", *chain(*sorted(heads)), draw)

        def perturb(batch: TokenSequences) -> AbstractContextManager[object]:
            return random_directions_taken(bridge, heads, generator, means if mode == "mean" else None)

        parts = parts_of(observe(bridge, sequences, perturb), sequences)
        return {name: parts[name] - baseline[name] for name in parts}

    targets = _targets(sets)
    rows: list[dict[str, Any]] = []
    with track("ablate heads", len(targets)) as tracker:
        for name, heads in targets:
            others = control_sets(heads, found, bridge.cfg.n_heads, n_draws, seed)
            control = "heads" if len(others) >= FEWEST else "directions"
            for mode in MODES:
                if control == "heads":
                    drawn = [rise(frozenset(draw), mode) for draw in others]
                else:
                    drawn = [perturbed(heads, mode, draw) for draw in range(n_draws)]
                for part, change in rise(frozenset(heads), mode).items():
                    row: dict[str, Any] = {"set": name, "heads": names_of(heads), "mode": mode, "part": part}
                    row |= {"loss": float(baseline[part].mean() + change.mean()), "control": control}
                    random = [float(other[part].mean()) for other in drawn]
                    rows.append({**row, **compare(change, random, direction=1)})
            tracker.advance()
    return pd.DataFrame(rows, columns=["set", "heads", "mode", "part", "loss", "control", *COMPARED])


def _targets(sets: Mapping[str, Sequence[Head]]) -> list[tuple[str, tuple[Head, ...]]]:
    """What is ablated: every head alone, every set of several, and the union of several sets, which is called all."""
    targets: list[tuple[str, tuple[Head, ...]]] = []
    for name, heads in sets.items():
        alone: list[tuple[Head, ...]] = [(head,) for head in sorted(heads)]
        targets += [(name, each) for each in ([*alone, tuple(sorted(heads))] if len(heads) > 1 else alone)]
    filled = [heads for heads in sets.values() if heads]
    if len(filled) > 1:
        targets.append(("all", tuple(sorted({head for heads in filled for head in heads}))))
    return targets
