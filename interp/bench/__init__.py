"""Side-by-side speed measurements: our ways against plain ones, in one process, checked to agree."""

from typing import TYPE_CHECKING

from interp._lazy import lazy_attributes

if TYPE_CHECKING:
    from interp.bench.comparison import Comparison, to_table
    from interp.bench.options import BenchOptions
    from interp.bench.parts import PARTS
    from interp.bench.run import run_bench

__all__ = ["PARTS", "BenchOptions", "Comparison", "run_bench", "to_table"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "BenchOptions": "interp.bench.options",
        "Comparison": "interp.bench.comparison",
        "PARTS": "interp.bench.parts",
        "run_bench": "interp.bench.run",
        "to_table": "interp.bench.comparison",
    },
)
