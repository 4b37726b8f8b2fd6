"""The weights of heads, with the norms before them folded in."""

from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components import NormalizationBridge

TOKENS_AT_ONCE = 8192
"""Rows of the embedding that are taken to float64 at a time."""


@dataclass(frozen=True, kw_only=True)
class Circuits:
    """What every head reads and writes, as linear maps on the residual stream.

    The gain of the norm before a layer is part of what its heads read (and so is the subtraction of the mean, for a
    LayerNorm), and that of a norm after attention (Gemma 2) of what they write; their divisions by the size of a vector
    are not. With grouped-query attention a key-value head's weights are repeated for every query head of its group.
    """

    W_Q: Float[Tensor, "layer head d_model d_head"]
    W_K: Float[Tensor, "layer head d_model d_head"]
    W_V: Float[Tensor, "layer head d_model d_head"]
    W_O: Float[Tensor, "layer head d_head d_model"]
    group: int
    """How many neighbouring query heads share a key-value head."""

    @classmethod
    @torch.no_grad()
    def of(cls, bridge: TransformerBridge) -> Self:
        """The circuits of a bridge, in its own precision."""
        norms = [getattr(block, "ln1", None) for block in bridge.blocks]
        read = {"W_Q": bridge.QK.A, "W_K": bridge.QK.B.mT, "W_V": bridge.OV.A}
        folded = {
            name: torch.stack([_behind(norm, weights) for norm, weights in zip(norms, stacked, strict=True)])
            for name, stacked in read.items()
        }
        posts = [getattr(block, "ln1_post", None) for block in bridge.blocks]
        W_O = torch.stack([_before(norm, weights) for norm, weights in zip(posts, bridge.OV.B, strict=True)])
        n_key_value = bridge.cfg.n_key_value_heads or bridge.cfg.n_heads
        return cls(**folded, W_O=W_O, group=bridge.cfg.n_heads // n_key_value)


@torch.no_grad()
def own_token_map(bridge: TransformerBridge, *, centred: bool) -> Float[Tensor, "d_model d_model"]:
    """Sum over tokens of unembedding times embedding, ``W_U @ W_E``, in float64 and with the last norm's gain.

    Its product with a head's ``W_V W_O`` has the trace and the non-zero eigenvalues of the head's whole circuit
    ``W_E W_V W_O W_U`` [token token]. ``centred`` takes the means over tokens off both embeddings first: what is common
    to all tokens tells none of them apart, and tied embeddings have much of it in common.
    """
    W_E, W_U = bridge.W_E, _behind(getattr(bridge, "ln_final", None), bridge.W_U)
    if W_E.shape[0] != W_U.shape[1]:
        raise ValueError(
            f"A token's own logit needs one unembedding for each embedding, got {W_U.shape[1]} for {W_E.shape[0]}."
        )
    total = torch.zeros(W_E.shape[1], W_E.shape[1], dtype=torch.float64, device=W_E.device)
    for start in range(0, len(W_E), TOKENS_AT_ONCE):
        tokens = slice(start, start + TOKENS_AT_ONCE)
        total += W_U[:, tokens].double() @ W_E[tokens].double()
    if centred:
        total -= len(W_E) * W_U.mean(1, dtype=torch.float64).outer(W_E.mean(0, dtype=torch.float64))
    return total


def _behind(norm: nn.Module | None, weights: Float[Tensor, "*head d_model to"]) -> Float[Tensor, "*head d_model to"]:
    """What weights behind a norm read from the stream before it, up to its division by the stream's size."""
    if not isinstance(norm, NormalizationBridge):
        return weights
    gained = weights * _gain(norm, weights)[:, None]
    return gained if norm.uses_rms_norm else gained - gained.mean(-2, keepdim=True)


def _before(norm: nn.Module | None, weights: Float[Tensor, "*head of d_model"]) -> Float[Tensor, "*head of d_model"]:
    """What weights before a norm write to the stream after it, up to the norm's division by their size."""
    if not isinstance(norm, NormalizationBridge):
        return weights
    return (weights if norm.uses_rms_norm else weights - weights.mean(-1, keepdim=True)) * _gain(norm, weights)


def _gain(norm: NormalizationBridge, like: Tensor) -> Float[Tensor, " d_model_or_1"]:
    """The factors of a norm, one for each coordinate; a single 1 where it has none."""
    gain = getattr(norm, "weight", None)
    if gain is None:
        return like.new_ones(1)
    return 1 + gain if norm.uses_weight_offset else gain
