"""Which algorithm does this transformer run in its forward pass?

The package answers with evidence: it decodes what each layer holds, compares each layer with the iterates
of known algorithms, finds what moves between tokens, and writes a report in which every claim has an estimate,
an interval, controls and a verdict.

``import interp`` loads nothing heavy; the subpackages arrive on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp import attribution, bench, matching, models, report, reproduce, solvers, sweeps, tasks, training
    from interp.models.loading import load

__version__ = "0.1.0"

__all__ = [
    "attribution",
    "bench",
    "load",
    "matching",
    "models",
    "report",
    "reproduce",
    "solvers",
    "sweeps",
    "tasks",
    "training",
]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("interp.models.loading").load
    if name in __all__:
        return import_module(f"interp.{name}")
    raise AttributeError(f"module 'interp' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
