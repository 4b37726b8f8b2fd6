"""Running the benchmark."""

from collections.abc import Sequence
from importlib import import_module

from interp._devices import resolve_device
from interp._names import unknown_name
from interp.bench.comparison import Comparison
from interp.bench.options import BenchOptions
from interp.bench.parts import PARTS


def run_bench(parts: Sequence[str] = (), *, device: str = "cpu", repeats: int = 3) -> list[Comparison]:
    """Measure the named ``parts``, or all of them if none is named, each side ``repeats`` times.

    ``device`` is cpu, cuda or auto. Raises ValueError for a part or device that does not exist, before it
    measures anything, and for two ways of computing the same numbers that disagree.
    """
    for name in parts:
        if name not in PARTS:
            raise unknown_name("part of the benchmark", name, PARTS)
    options = BenchOptions(device=resolve_device(device), repeats=repeats)
    comparisons: list[Comparison] = []
    for name in dict.fromkeys(parts or PARTS):
        comparisons += import_module(PARTS[name]).compare(options)
    return comparisons
