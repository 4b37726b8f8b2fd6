"""What can be measured, by name."""

PARTS: dict[str, str] = {
    "solvers": "interp.bench.solvers",
    "readouts": "interp.bench.readouts",
    "training": "interp.bench.training",
    "ensemble": "interp.bench.ensemble",
    "capture": "interp.bench.capture",
    "dependency": "interp.bench.dependency",
    "report": "interp.bench.report",
    "growth": "interp.bench.growth",
}
"""The module of each part, which defines ``compare(options: BenchOptions) -> list[Comparison]``.

Modules and not functions, so that the names are known without loading what they measure. A new part is a new
file and one line here.
"""
