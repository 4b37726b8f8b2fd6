"""Run folders whose checkpoints are known."""

from collections.abc import Mapping
from pathlib import Path

import torch

from interp.models import RegressionTransformer, save_folder
from interp.training.checkpoints import save_checkpoint


def run_of(folder: Path, checkpoints: Mapping[int, RegressionTransformer]) -> Path:
    """A run folder that passed through these models, by update (a kept one: 0, 1, 2, 3, 4, 6), and ended as the last.

    All must be of the shape of the last.
    """
    *_, last = checkpoints.values()
    save_folder(folder, last, recipe={"name": "made up"}, seed=0)
    for step, model in checkpoints.items():
        save_checkpoint(folder, step, model, torch.optim.SGD(model.parameters()))
    return folder
