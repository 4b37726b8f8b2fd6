"""What a report was made from, so that it can be made again."""

import os
import platform
import time
from datetime import UTC, datetime
from typing import Any

import torch

from interp.models.folders import ModelInfo, current_versions

ORIGINS = {
    "zoo": "a trained model of the zoo",
    "run": "a trained model",
    "import": "a trained model imported from a run of other code",
    "hugging face": "a model from a local Hugging Face folder",
    "construction": "a model whose weights were constructed",
    "untrained": "a model with its initial, untrained weights",
}
"""Sources of `ModelInfo`, in words."""


def describe_environment(command: str, began: float, device: torch.device, **inputs: Any) -> dict[str, Any]:
    """Command, date, duration since ``began`` (of ``time.monotonic``), inputs, versions and machine."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        **{name.replace("_", " "): value for name, value in inputs.items()},
        "versions": {"python": platform.python_version(), **current_versions()},
        "machine": f"{platform.system()} {platform.machine()}; cores: {os.cpu_count()}, threads: "
        f"{torch.get_num_threads()}",
        "device": str(device),
    }


def describe_origin(info: ModelInfo, summary: str, config: Any, task: Any) -> dict[str, Any]:
    """Name, summary, source, seed and checksum of a model, with its config and task as records where they are known."""
    versions = ", ".join(f"{package} {number}" for package, number in info.versions.items())
    origin = ORIGINS.get(info.source, "a model")
    return {
        "name": info.name,
        "summary": f"{origin[0].upper()}{origin[1:]}: {summary}",
        "source": info.source,
        "seed": info.seed,
        "checksum": info.checksum or None,
        f"{'imported' if info.source == 'import' else 'trained'} with": versions or None,
        "config": config,
        "task": task,
        "recipe": info.recipe,
    }
