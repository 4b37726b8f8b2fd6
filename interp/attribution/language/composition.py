"""How much of what one head writes another one reads."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.circuits import Circuits
from interp.attribution.language.controls import Head
from interp.models.language_checks import check_language_model
from probes.intervals import percentiles

Input = Literal["Q", "K", "V"]
"""Which of a head's inputs another head's output is read by."""


@torch.no_grad()
def score_composition(
    bridge: TransformerBridge,
    senders: Sequence[Head] | None = None,
    receivers: Sequence[Head] | None = None,
    *,
    inputs: Sequence[Input] = ("K",),
) -> pd.DataFrame:
    """Composition scores between heads of different layers (Elhage et al. 2021).

    The score of a sender's OV circuit A and a receiver's circuit B (QK read from the key's side for K, QK from the
    query's side for Q, OV for V) is ``||A B|| / (||A|| ||B||)``, Frobenius norms, as ``all_composition_scores`` of
    TransformerLens has it; here norms' gains are folded in, and layers are taken two at a time, so that memory stays
    small. ``senders`` and ``receivers`` are (layer, head), layers from 0 as in hook names; all heads by default.

    One row per (input, pair). Columns: input, from_layer, from_head, to_layer, to_head (layers from 1), score, low,
    high (middle 95 % of all pairs of heads of the same two layers, this one among them) and chance, 1/sqrt(d_model):
    the root mean square over random turns of the stream between the two. Raises ValueError as `check_language_model`.
    """
    check_language_model(bridge)
    circuits = Circuits.of(bridge)
    n_layers, n_heads, d_model, _ = circuits.W_V.shape
    everything = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    left = [_written(circuits, layer) for layer in range(n_layers)]
    rows: list[dict[str, Any]] = []
    wanted = {
        (at, to)
        for at in (everything if senders is None else senders)
        for to in (everything if receivers is None else receivers)
        if at[0] < to[0]
    }
    for name in inputs:
        for before, after in sorted({(at[0], to[0]) for at, to in wanted}):
            scores = _scores(left[before], _read(circuits, after, name)).cpu().numpy()
            low, high = percentiles(scores.ravel())
            for sender, receiver in np.ndindex(n_heads, n_heads):
                if ((before, sender), (after, receiver)) in wanted:
                    rows.append(
                        {
                            "input": name,
                            "from_layer": before + 1,
                            "from_head": sender,
                            "to_layer": after + 1,
                            "to_head": receiver,
                            "score": float(scores[sender, receiver]),
                            "low": float(low),
                            "high": float(high),
                            "chance": d_model**-0.5,
                        }
                    )
    columns = ["input", "from_layer", "from_head", "to_layer", "to_head", "score", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns)


def _written(circuits: Circuits, layer: int) -> Float[Tensor, "head d_head d_model"]:
    """The OV circuits of a layer, up to a turn of their left side, which no norm sees: W_V = Q R leaves R W_O."""
    turned = torch.linalg.qr(circuits.W_V[layer].double(), mode="r").R
    return turned @ circuits.W_O[layer].double()


def _read(circuits: Circuits, layer: int, name: Input) -> Float[Tensor, "head d_model d_head"]:
    """The circuits that a layer's heads read an input with, up to a turn of their right side."""
    reads, other = {
        "K": (circuits.W_K, circuits.W_Q.mT),
        "Q": (circuits.W_Q, circuits.W_K.mT),
        "V": (circuits.W_V, circuits.W_O),
    }[name]
    turned = torch.linalg.qr(other[layer].double().mT, mode="r").R
    return reads[layer].double() @ turned.mT


def _scores(
    left: Float[Tensor, "sender d_head d_model"], right: Float[Tensor, "receiver d_model d_head"]
) -> Float[Tensor, "sender receiver"]:
    """Norms of the products over products of the norms; 0 where a circuit is 0."""
    products = torch.stack([(one @ right).norm(dim=(-2, -1)) for one in left])
    sizes = left.norm(dim=(-2, -1))[:, None] * right.norm(dim=(-2, -1))[None, :]
    return torch.where(sizes > 0, products / sizes.where(sizes > 0, 1.0), 0.0)
