"""What every part of the benchmark is told."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How to measure. Raises ValueError for fewer than one repetition."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where our side runs. A plain way that only ever ran on the CPU stays there; its comparison says so."""
    repeats: int = 3
    """Times that every side is measured; medians are reported."""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"`repeats` must be at least 1, got {self.repeats}; 3 give a median that means something.")
