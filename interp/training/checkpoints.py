"""Points of a run that can be gone back to: weights and optimiser state in safetensors."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from interp._files import write_atomically
from interp.models.any_model import AnyModel
from interp.models.build import build_model
from interp.models.folders import named_parameters, named_weights, read_safetensors, read_shape

PER_DECADE = 8
"""Checkpoints kept per factor of ten in steps."""


def is_kept(step: int, every: int = 0) -> bool:
    """Whether a checkpoint at ``step`` stays: 0, the log-spaced 1, 2, 3, 4, 6, 7, 10, ..., multiples of ``every``."""
    return step == 0 or step in _kept_up_to(step) or (every > 0 and step % every == 0)


def _kept_up_to(last: int) -> set[int]:
    kept, i = {0}, 0
    while (step := round(10 ** (i / PER_DECADE))) <= last:
        kept.add(step)
        i += 1
    return kept


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` updates lies."""
    return folder / "checkpoints" / f"step-{step:08d}.safetensors"


def checkpoint_steps(folder: Path | str) -> list[int]:
    """Steps of all checkpoints in a run folder, ascending; none if there is no such folder."""
    found = (re.fullmatch(r"step-(\d+)\.safetensors", path.name) for path in (Path(folder) / "checkpoints").glob("*"))
    return sorted(int(match[1]) for match in found if match)


def save_checkpoint(
    folder: Path, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer, *, keep_every: int = 0
) -> None:
    """Write weights and optimiser state after ``step`` updates, atomically; then drop the resume points before it."""
    state = {name: optimizer.state[parameter] for name, parameter in named_parameters(model).items()}
    write_checkpoint(folder, step, named_weights(model), state, keep_every=keep_every)


def write_checkpoint(
    folder: Path,
    step: int,
    weights: Mapping[str, Tensor],
    state: Mapping[str, Mapping[str, Any]],
    *,
    keep_every: int = 0,
) -> None:
    """`save_checkpoint`, from the weights and the optimiser's state by name of the parameter."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    tensors = {f"model.{name}": values.detach().contiguous() for name, values in weights.items()}
    for name, values in state.items():
        for key, value in values.items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value).detach().clone().contiguous()
    write_atomically(checkpoint_path(folder, step), save_safetensors(tensors))
    for earlier in checkpoint_steps(folder):
        if earlier < step and not is_kept(earlier, keep_every):
            checkpoint_path(folder, earlier).unlink()


def restore_checkpoint(
    folder: Path, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Put weights, and the optimiser's state if one is given, back to what they were after ``step`` updates.

    Raises ValueError for a checkpoint of another architecture or a damaged one.
    """
    path = checkpoint_path(folder, step)
    tensors = read_safetensors(path)
    for name, parameter in named_parameters(model).items():
        weights = tensors.get(f"model.{name}")
        if weights is None or weights.shape != parameter.shape:
            found = "nothing" if weights is None else f"shape {tuple(weights.shape)}"
            raise ValueError(f"{path} holds {found} for {name}, expected shape {tuple(parameter.shape)}.")
        with torch.no_grad():
            parameter.copy_(weights)
        if optimizer is not None:
            optimizer.state[parameter] = _optimizer_state(tensors, name, parameter.device)


def _optimizer_state(tensors: dict[str, Tensor], name: str, device: torch.device) -> dict[str, Tensor]:
    state = {}
    for full, values in tensors.items():
        if full.startswith("optimizer.") and full.endswith(f".{name}"):
            key = full.removeprefix("optimizer.").removesuffix(f".{name}")
            state[key] = values.to(device)  # the number of updates too: the fused optimiser counts on the device
    return state


def load_checkpoint(folder: Path | str, step: int) -> AnyModel:
    """The model of a run as it was after ``step`` updates.

    Raises FileNotFoundError for a step without a checkpoint; `checkpoint_steps` lists those there are.
    """
    folder = Path(folder)
    cfg, task, _ = read_shape(folder)
    model = build_model(cfg, task)
    restore_checkpoint(folder, step, model)
    return model
