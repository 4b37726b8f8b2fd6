"""How a language model's heads came about: their scores and its losses at the checkpoints of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from interp.attribution.language.labels import KINDS
from interp.attribution.language.losses import parts_of
from interp.attribution.language.masks import SCORES
from interp.attribution.language.observe import check_sequences, observe
from interp.attribution.over_training import models_over_training
from interp.models.language import evaluation_sequences
from interp.models.language_checks import check_language_model
from interp.tasks import TokenSequences
from probes import Interval, bootstrap_mean


def heads_over_training(
    folder: Path | str,
    sequences: TokenSequences | None = None,
    *,
    checkpoints: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Losses on first pass and repeats, and every head's scores, at each checkpoint of a run of a language model.

    ``sequences`` are by default those of `evaluation_sequences`. One row per (update, measure, layer, head). Columns:
    update, measure (``loss on first`` and ``loss on repeat`` in nats, with layer 0 and head -1; then the scores that
    give labels: previous-token, duplicate-token, induction), layer (of blocks, from 1), head, value, low, high (95 %
    bootstrap over sequences). Raises FileNotFoundError for a folder without checkpoints, or without those asked for,
    and ValueError as `check_language_model` and `check_sequences` do.
    """
    rows: list[dict[str, Any]] = []
    for step, bridge in models_over_training(folder, checkpoints, device):
        check_language_model(bridge)
        if sequences is None:
            sequences = evaluation_sequences(bridge)
        check_sequences(bridge, sequences)
        observed = observe(bridge, sequences)
        for part, losses in parts_of(observed, sequences).items():
            rows.append(_row(step, f"loss on {part}", 0, -1, bootstrap_mean(losses)))
        for layer, head in np.ndindex(*observed.attention.shape[1:3]):
            for kind in KINDS:
                values = observed.attention[:, layer, head, SCORES.index(kind)]
                rows.append(_row(step, kind, layer + 1, head, bootstrap_mean(values)))
    return pd.DataFrame(rows)


def _row(update: int, measure: str, layer: int, head: int, interval: Interval) -> dict[str, Any]:
    place = {"update": update, "measure": measure, "layer": layer, "head": head}
    return {**place, "value": interval.estimate, "low": interval.low, "high": interval.high}
