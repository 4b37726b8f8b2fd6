"""How a model came to copy: token dependency at the checkpoints of a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from interp._progress import track
from interp.attribution.dependency import token_dependencies
from interp.attribution.neighbours import require_neighbours
from interp.matching.readouts import prompt_losses
from interp.models.any_model import AnyModel, on_device
from interp.tasks import Prompts
from interp.training import checkpoint_steps, load_checkpoint
from probes import bootstrap_mean

SOURCES = ("own", "next", "previous", "others")
"""The tokens that a token's state may depend on: itself, the one behind it, the one before it, and all the rest."""
N_FOLLOWED = 64
"""Prompts that Jacobians are taken of; losses are those of all."""


def dependency_over_training(
    folder: Path | str,
    prompts: Prompts,
    *,
    checkpoints: Sequence[int] | None = None,
    layer: int = 1,
    n_followed: int = N_FOLLOWED,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Which tokens the states after ``layer`` blocks depend on, and the loss, at every checkpoint of a run.

    One row per (update, reader, source). Columns: update, loss (half the mean squared error) with loss_low and
    loss_high, reader (x, y), source (`SOURCES`; the next token of an x is its y, the previous one of a y its x), value
    with value_low and value_high. The value is a mean, over prompts and over the readers of a kind, of the Frobenius
    norm of the Jacobian by a source's input (for "others" by that of one of them, on average). The query is neither
    reader nor source. It is a mean of norms, over the first ``n_followed`` prompts; `published_sensitivity` is the norm
    of a mean, in which signs cancel.

    Raises ValueError for models without neighbours, and FileNotFoundError for a folder without checkpoints, or without
    those asked for.
    """
    rows = []
    for step, model in models_over_training(folder, checkpoints, device):
        require_neighbours(model, prompts)
        loss = bootstrap_mean(prompt_losses(model, prompts))
        norms = token_dependencies(model, prompts[:n_followed], layers=[layer])[0].cpu().numpy()
        for reader in ("x", "y"):
            for source, values in _by_source(norms, reader, prompts.n_examples).items():
                value = bootstrap_mean(values)
                row: dict[str, float | str] = {"update": step, "reader": reader, "source": source}
                row |= {"loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high}
                rows.append(row | {"value": value.estimate, "value_low": value.low, "value_high": value.high})
    return pd.DataFrame(rows)


def models_over_training(
    folder: Path | str, checkpoints: Sequence[int] | None = None, device: torch.device | str = "cpu"
) -> Iterator[tuple[int, AnyModel]]:
    """The model of a run at its checkpoints, all of them unless some are asked for, with a bar of progress.

    Raises FileNotFoundError for a folder without checkpoints, or without those asked for.
    """
    steps = checkpoint_steps(folder) if checkpoints is None else list(checkpoints)
    if not steps:
        raise FileNotFoundError(
            f"{folder} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
        )
    with track("checkpoints", len(steps)) as tracker:
        for step in steps:
            yield step, on_device(load_checkpoint(folder, step), device)
            tracker.advance(f"update {step}")


def _by_source(
    norms: Float[np.ndarray, "prompt pos pos"], reader: str, n_examples: int
) -> dict[str, Float[np.ndarray, " prompt"]]:
    """Mean norm of each source over the readers that have it, prompt by prompt."""
    n_tokens = 2 * n_examples
    readers = range(0 if reader == "x" else 1, n_tokens, 2)
    sources = {
        "own": [(r, r) for r in readers],
        "next": [(r, r + 1) for r in readers if r + 1 < n_tokens],
        "previous": [(r, r - 1) for r in readers if r > 0],
        "others": [(r, other) for r in readers for other in range(n_tokens) if abs(r - other) > 1],
    }
    found = {}
    for source, pairs in sources.items():
        at, by = zip(*pairs, strict=True)
        found[source] = norms[:, list(at), list(by)].mean(-1)
    return found
