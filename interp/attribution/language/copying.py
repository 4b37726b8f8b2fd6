"""Whether what a head hands on speaks for the token it came from."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp._seeds import make_generator
from interp.attribution.language.circuits import Circuits, own_token_map
from interp.models.language_checks import check_language_model
from probes.intervals import percentiles

PAIRS_AT_ONCE = 256
"""Circuits whose eigenvalues are found at a time."""


@torch.no_grad()
def score_copying(bridge: TransformerBridge, *, n_pairs: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How much every head's OV circuit raises the logit of the token that it reads, against mismatched circuits.

    The circuit ``W_E W_V W_O W_U`` of a head that copies has positive eigenvalues (Elhage et al. 2021, "A mathematical
    framework for transformer circuits"): ``plain`` is the sum of their real parts over the sum of their absolute
    values, in -1..1, as it stands there. On tied embeddings that says little, since whatever all tokens share looks
    like copying; ``copying`` is the same with both embeddings centred over tokens (`own_token_map`). Its null takes
    ``W_V`` from one head and ``W_O`` from another that has other values: all such pairs of the model's heads, or
    ``n_pairs`` drawn from them. Norms divide by the size of the stream; that changes none of the signs and is left out.

    One row per (layer, head). Columns: layer (of blocks, from 1), head, plain, copying, null_low, null_high (middle
    95 % of the null), percentile (of the null below the head), p_value (share of the null as high as the head, the head
    counted in), own_logit (mean over tokens of the centred own-token logit, in units of its standard deviation when the
    d_head axis between W_V and W_O is turned at random). A circuit that is 0 has 0 everywhere.
    Raises ValueError as `check_language_model` does, and for a model with only one head.
    """
    check_language_model(bridge)
    circuits = Circuits.of(bridge)
    n_layers, n_heads = circuits.W_V.shape[:2]
    values, outputs = circuits.W_V.flatten(0, 1), circuits.W_O.flatten(0, 1)
    centred = own_token_map(bridge, centred=True)
    own = torch.arange(n_layers * n_heads)
    plain = _ratios(values, own_token_map(bridge, centred=False), outputs, own, own)
    copying = _ratios(values, centred, outputs, own, own)
    null = np.sort(_ratios(values, centred, outputs, *_mismatched(n_layers, n_heads, circuits.group, n_pairs, seed)))
    low, high = percentiles(null)
    rows: list[dict[str, Any]] = []
    for index in range(n_layers * n_heads):
        above = len(null) - int(np.searchsorted(null, copying[index]))
        rows.append(
            {
                "layer": index // n_heads + 1,
                "head": index % n_heads,
                "plain": float(plain[index]),
                "copying": float(copying[index]),
                "null_low": float(low),
                "null_high": float(high),
                "percentile": 100 * (1 - above / len(null)),
                "p_value": (1 + above) / (1 + len(null)),
                "own_logit": _own_logit(outputs[index].double() @ centred @ values[index].double()),
            }
        )
    return pd.DataFrame(rows)


def _ratios(
    values: Float[Tensor, "item d_model d_head"],
    between: Float[Tensor, "d_model d_model"],
    outputs: Float[Tensor, "item d_head d_model"],
    value_of: Int[Tensor, " pair"],
    output_of: Int[Tensor, " pair"],
) -> Float[np.ndarray, " pair"]:
    """Sum of the eigenvalues over the sum of their sizes, for each pair of a W_V and a W_O."""
    ratios = []
    for start in range(0, len(value_of), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        circuit = outputs[output_of[chunk]].double() @ between @ values[value_of[chunk]].double()  # d_head x d_head
        eigenvalues = torch.linalg.eigvals(circuit)
        sizes = eigenvalues.abs().sum(-1)
        ratios.append(torch.where(sizes > 0, eigenvalues.sum(-1).real / sizes, 0.0))
    return torch.cat(ratios).cpu().numpy()


def _mismatched(
    n_layers: int, n_heads: int, group: int, n_pairs: int, seed: int
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Pairs of heads whose values differ: never a head with itself or with one of its own key-value group."""
    heads = torch.arange(n_layers * n_heads)
    key_value = heads // group  # groups never straddle layers: their size divides the number of heads
    value_of, output_of = (key_value[:, None] != key_value[None, :]).nonzero(as_tuple=True)
    if len(value_of) == 0:
        raise ValueError("A null of mismatched heads needs heads with different values; this model has none.")
    if len(value_of) > n_pairs:
        drawn = torch.randperm(len(value_of), generator=make_generator(seed, "mismatched heads"))[:n_pairs]
        value_of, output_of = value_of[drawn], output_of[drawn]
    return value_of, output_of


def _own_logit(circuit: Float[Tensor, "d_head d_head"]) -> float:
    """Trace of the circuit over its standard deviation under random turns, ``||circuit||_F / sqrt(d_head)``.

    For a random orthogonal R, the trace of ``circuit @ R`` has mean 0 and variance ``||circuit||_F^2 / d_head``.
    """
    deviation = circuit.norm() / len(circuit) ** 0.5
    return float(circuit.trace() / deviation) if deviation > 0 else 0.0
