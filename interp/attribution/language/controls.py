"""Random heads that an intervention on found heads is held against."""

from collections.abc import Iterable, Sequence
from itertools import chain, combinations, product
from math import comb, prod

import numpy as np
import torch
from jaxtyping import Float

from interp._seeds import make_generator
from probes import bootstrap_mean
from probes.intervals import percentiles

Head = tuple[int, int]
"""Block, counted from 0 as in hook names, and head."""

N_DRAWS = 20
"""Sets of random heads that an intervention is held against."""

FEWEST = 3
"""Random draws that an interval over them needs."""

COMPARED = ("change", "ci_low", "ci_high", "random", "random_low", "random_high", "n_random", "verdict")
"""Columns that `compare` makes."""


def control_sets(
    heads: Sequence[Head], found: Iterable[Head], n_heads: int, n_draws: int = N_DRAWS, seed: int = 0
) -> list[tuple[Head, ...]]:
    """Different sets of as many heads of the same layers, none of which is in ``found``.

    All of them if there are ``n_draws`` or fewer, else so many at random; none if a layer has too few other heads.
    """
    layers = sorted({layer for layer, _ in heads})
    taken = set(found) | set(heads)
    others = [[(layer, head) for head in range(n_heads) if (layer, head) not in taken] for layer in layers]
    counts = [sum(layer == at for at, _ in heads) for layer in layers]
    n_sets = prod(comb(len(free), count) for free, count in zip(others, counts, strict=True))
    if n_sets <= n_draws:
        each = [combinations(free, count) for free, count in zip(others, counts, strict=True)]
        return [tuple(chain(*parts)) for parts in product(*each)]
    generator = make_generator(seed, "random heads", *chain(*sorted(heads)))
    drawn: dict[tuple[Head, ...], None] = {}
    while len(drawn) < n_draws:
        picked = []
        for free, count in zip(others, counts, strict=True):
            places = torch.randperm(len(free), generator=generator)[:count]
            picked += [free[place] for place in sorted(places.tolist())]
        drawn[tuple(picked)] = None
    return list(drawn)


def compare(
    change: Float[np.ndarray, " prompt"], random: Sequence[float], *, direction: int
) -> dict[str, float | int | str]:
    """A change under an intervention beside those under random ones.

    The columns of `COMPARED`: change, ci_low, ci_high (95 % bootstrap over sequences), random, random_low, random_high
    (mean and middle 95 % of the random draws; NaN without any), n_random, and verdict: ``clear`` where the interval
    lies wholly above the random ones' (below, for ``direction`` -1) and on that side of 0, ``not clear`` where it does
    not, ``too few others`` where there are fewer than `FEWEST` random draws.
    """
    interval = bootstrap_mean(change)
    low, high = percentiles(random) if len(random) else (np.nan, np.nan)
    if len(random) < FEWEST:
        verdict = "too few others"
    elif direction > 0:
        verdict = "clear" if interval.low > max(float(high), 0.0) else "not clear"
    else:
        verdict = "clear" if interval.high < min(float(low), 0.0) else "not clear"
    return {
        "change": interval.estimate,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "random": float(np.mean(random)) if len(random) else np.nan,
        "random_low": float(low),
        "random_high": float(high),
        "n_random": len(random),
        "verdict": verdict,
    }


def names_of(heads: Iterable[Head]) -> str:
    """Heads as text, layer.head with layers from 1 as in tables: ``1.3 2.0``."""
    return " ".join(f"{layer + 1}.{head}" for layer, head in sorted(heads))


def check_heads(heads: Iterable[Head], n_layers: int, n_heads: int) -> None:
    """Raise ValueError for a head that a model of these sizes lacks."""
    for layer, head in heads:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise ValueError(
                f"There is no head {head} in block {layer}: the model has {n_layers} block(s), counted from 0, "
                f"with {n_heads} head(s) each."
            )
