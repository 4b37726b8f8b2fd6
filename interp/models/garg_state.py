"""``state.pt`` of the released code: a pickle, read without running anything in it."""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOREIGN = re.compile(r"GLOBAL ([\w.]+)")
"""How PyTorch names what a pickle asks to import and may not."""


@dataclass(frozen=True, kw_only=True)
class GargState:
    """What a state file holds, beside the optimiser's state."""

    weights: dict[str, Tensor]
    train_step: int | None
    """Updates of the run so far, if the file says."""


def read_state(path: Path) -> GargState:
    """Read a state file onto the CPU.

    Raises ValueError for a pickle that would import anything but tensors, for a damaged file, and for other contents.
    """
    content = _load(path)
    if not isinstance(content, Mapping) or "model_state_dict" not in content:
        found = _listed(content) if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise ValueError(
            f"{path} has no 'model_state_dict', it holds {found}. Expected what the released code's train.py saves: "
            "model_state_dict, optimizer_state_dict and train_step."
        )
    weights = content["model_state_dict"]
    if not isinstance(weights, Mapping):
        raise ValueError(f"{path}: 'model_state_dict' must hold tensors by name, got a {type(weights).__name__}.")
    for name, values in weights.items():
        dense = isinstance(values, Tensor) and values.layout == torch.strided and not values.is_meta
        if not isinstance(name, str) or not dense:
            kind = type(values).__name__
            raise ValueError(f"{path}: 'model_state_dict' must hold dense tensors by name, got a {kind} as {name!r}.")
    step = content.get("train_step")
    return GargState(weights=dict(weights), train_step=step if type(step) is int and step >= 0 else None)


def _load(path: Path) -> Any:
    file = path.open("rb")
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files are read all the same, and their owners cannot change them
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in whatever way its first wrong byte decides
        if not isinstance(error, pickle.UnpicklingError):
            raise ValueError(
                f"{path} is truncated or not a file that torch.save wrote; copy it again from the original run."
            ) from None
        foreign = FOREIGN.search(str(error))
        asks = f"asks to import {foreign[1]}" if foreign else "holds instructions beside tensors and plain numbers"
        raise ValueError(
            f"{path} {asks}, and what a pickle asks for can be code: it was refused, and nothing in it was executed. "
            "Expected tensors and plain numbers alone. If you trust the file, save its model_state_dict anew with the "
            "code that wrote it; if it was damaged on its way, copy it again."
        ) from None


def _listed(content: Mapping[Any, Any]) -> str:
    names = [repr(key) for key in content]
    if not names:
        return "nothing"
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
