"""What a verdict on a layer says."""

from collections.abc import Mapping
from typing import Any

from interp.matching import LayerVerdict
from interp.report.chapter import count_of
from interp.report.finding import Finding
from interp.solvers import SOLVERS


def layer_finding(
    verdict: LayerVerdict, *, suffix: str, what: str, statistic: str, reason: str, details: Mapping[str, Any]
) -> Finding:
    """The finding that a layer does ``what`` as the verdict's solver does, or as one of its alternatives."""
    # A candidate with fixed hyperparameters may bear them in its name.
    solver = SOLVERS[verdict.solver.split(" (")[0]]
    after = f" after {count_of(verdict.step, 'step')}" if len(solver.default_steps) > 1 else ""
    rivals = f" or {', '.join(verdict.alternatives)}" if verdict.alternatives else ""
    return Finding(
        id=f"algorithm.layer{verdict.layer}{suffix}",
        claim=f"Layer {verdict.layer} {what} {verdict.solver}{after}{rivals}",
        statistic=statistic,
        estimate=verdict.similarity,
        ci=verdict.ci,
        controls=verdict.controls,
        alternatives=verdict.alternatives,
        verdict=verdict.verdict,
        reason=f"{verdict.reason}. {reason}",
        details={
            "solver": verdict.solver,
            "step": verdict.step,
            "hyperparameters": verdict.hyperparameters,
            **details,
        },
    )
