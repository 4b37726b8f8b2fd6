"""Where tensors live, by the name that the command line takes, and how many cores there are."""

import os

import torch

from interp._names import unknown_name

DEVICES = ("cpu", "cuda", "auto")
"""Names that `resolve_device` knows."""


def usable_cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_device(name: str) -> torch.device:
    """The device called ``cpu`` or ``cuda``; ``auto`` is cuda where PyTorch finds it, and cpu elsewhere.

    Raises ValueError for any other name, and for ``cuda`` where there is none.
    """
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError(
            f"Device 'cuda' needs a CUDA device, and PyTorch {torch.__version__} finds none that it can use. "
            "Use device 'cpu', or 'auto' to take a CUDA device only where there is one."
        )
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)
