"""Copying as the weights of a softmax-attention layer."""

import math

import torch

from interp.models.attention import Attention
from interp.models.config import TransformerConfig

N_CHANNELS = 10
"""Position channels of the construction, as many as von Oswald et al. use."""
GAP = 1600.0
"""Least distance of scores between the position that is attended to and all others: exp(-GAP) is 0 in any precision."""
SLOWEST = 1e-3
"""Slowest frequency whose neighbouring positions single precision tells apart by a small part of `GAP`."""


def copying_frequency(n_pos: int) -> int:
    """Which pair of sinusoidal channels copying reads: the fastest that covers at most half a turn in ``n_pos`` steps.

    Its cosine falls all the way from the nearest position to the farthest. Raises ValueError for so many positions that
    single precision holds no such pair.
    """
    rates = [_rate(pair) for pair in range(N_CHANNELS // 2)]
    slow_enough = [pair for pair, rate in enumerate(rates) if n_pos * rate <= math.pi and rate >= SLOWEST]
    if not slow_enough:
        most = max(int(math.pi / rate) for rate in rates if rate >= SLOWEST)
        raise ValueError(
            f"Sinusoidal positions tell at most {most} tokens ({(most + 1) // 2} points) apart in single precision, "
            f"got {n_pos}; ask for fewer points."
        )
    return slow_enough[0]


@torch.no_grad()
def write_copying(attn: Attention, cfg: TransformerConfig, n_pos: int) -> None:
    """Make a softmax layer add to every token the y of the next one (von Oswald et al. 2022, section 4, on copying).

    The query is the position turned one step ahead, the key the position itself, so that their product is the cosine of
    the distance to the next token, and the nearest key in sight takes all attention. An x token is followed by its y. A
    y token reads the next x, which has no y, and the query, with nobody behind it, itself: they stay as they are. For
    one head on interleaved tokens with y in its own slot and queries among the keys.
    """
    pair = copying_frequency(n_pos)
    rate = _rate(pair)
    sine, cosine = (cfg.d_model - cfg.d_pos + 2 * pair + offset for offset in (0, 1))
    for weight in (attn.W_Q, attn.W_K, attn.W_V, attn.W_O):
        weight.zero_()
    sharpness = GAP / (1 - math.cos(rate)) / attn.scale
    attn.W_Q[0, sine, 0] = attn.W_Q[0, cosine, 1] = sharpness * math.cos(rate)
    attn.W_Q[0, cosine, 0], attn.W_Q[0, sine, 1] = sharpness * math.sin(rate), -sharpness * math.sin(rate)
    attn.W_K[0, sine, 0] = attn.W_K[0, cosine, 1] = 1
    attn.W_V[0, cfg.y_index, 0] = attn.W_O[0, 0, cfg.y_index] = 1


def _rate(pair: int) -> float:
    """Radians that a pair of sine and cosine channels turns from one position to the next."""
    return float(10000.0 ** (-2 * pair / N_CHANNELS))
