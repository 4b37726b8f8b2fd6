"""What a language model makes of tokens that come again."""

from math import log

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language.observe import Observation, check_sequences, observe
from interp.models.language_checks import check_language_model
from interp.tasks import TokenSequences
from probes import bootstrap_mean


def position_losses(bridge: TransformerBridge, sequences: TokenSequences) -> pd.DataFrame:
    """Next-token loss at every position, mean over sequences.

    Columns: position (of the token that is predicted, from 1), loss (nats), ci_low, ci_high (95 % bootstrap over
    sequences), repeated (share of the sequences whose token could be looked up there, see `repeated_targets`).
    Raises ValueError as `check_language_model` and `check_sequences` do.
    """
    return table_of_positions(_observed(bridge, sequences), sequences)


def repeat_losses(bridge: TransformerBridge, sequences: TokenSequences) -> pd.DataFrame:
    """Next-token loss in the first pass through a sequence and in its repeats, and the fall from one to the other.

    One row per part: first, repeat, and gain, first minus repeat within a sequence. The gain is what the context
    teaches, and all of it is copying, for the tokens are random.
    Columns: part, loss (nats), ci_low, ci_high (95 % bootstrap over sequences), chance (log of the vocabulary's size; 0
    for the gain). Raises ValueError as `position_losses`, and for sequences without repeats.
    """
    return table_of_repeats(_observed(bridge, sequences), sequences, bridge.cfg.d_vocab)


def repeated_targets(sequences: TokenSequences) -> Bool[np.ndarray, "prompt target"]:
    """Which next tokens could be looked up: those that follow a token of a repeat.

    The first token of a repeat comes after the last one of the period, whose successor nobody has seen yet, and counts
    with the first pass. Target t is the token at position t + 1.
    """
    start = sequences.n_before + sequences.periods.cpu()  # the first repeated token
    return (torch.arange(sequences.n_pos - 1) >= start[:, None]).numpy()


def parts_of(observed: Observation, sequences: TokenSequences) -> dict[str, Float[np.ndarray, " prompt"]]:
    """Every sequence's mean loss over its first pass and over its repeats.

    Raises ValueError where a sequence has no repeats.
    """
    repeated = repeated_targets(sequences)
    if not repeated.any(-1).all():
        raise ValueError(
            f"Some of these sequences of {sequences.n_pos} tokens end before a token that could be looked up: each "
            "needs its period, its first token again, and the one after. evaluation_sequences draws such sequences."
        )
    masks = {"first": ~repeated, "repeat": repeated}
    return {name: (observed.losses * mask).sum(-1) / mask.sum(-1) for name, mask in masks.items()}


def table_of_positions(observed: Observation, sequences: TokenSequences) -> pd.DataFrame:
    """The table of `position_losses`, from a pass that was made already."""
    repeated = repeated_targets(sequences).mean(0)
    return pd.DataFrame(
        {"position": target + 1, **_columns(losses), "repeated": float(repeated[target])}
        for target, losses in enumerate(observed.losses.T)
    )


def table_of_repeats(observed: Observation, sequences: TokenSequences, d_vocab: int) -> pd.DataFrame:
    """The table of `repeat_losses`, from a pass that was made already."""
    parts = parts_of(observed, sequences)
    parts["gain"] = parts["first"] - parts["repeat"]
    return pd.DataFrame(
        {"part": name, **_columns(losses), "chance": 0.0 if name == "gain" else log(d_vocab)}
        for name, losses in parts.items()
    )


def _columns(losses: Float[np.ndarray, " prompt"]) -> dict[str, float]:
    interval = bootstrap_mean(losses)
    return {"loss": interval.estimate, "ci_low": interval.low, "ci_high": interval.high}


def _observed(bridge: TransformerBridge, sequences: TokenSequences) -> Observation:
    check_language_model(bridge)
    check_sequences(bridge, sequences)
    return observe(bridge, sequences)
