"""One claim and its evidence."""

import math
from dataclasses import dataclass, field
from typing import Any

from interp.matching.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim, what was measured, what the controls gave, and the verdict."""

    id: str
    """Begins with what it speaks of: learned.*, layer.*, algorithm.*, token.*, head.*."""
    claim: str
    statistic: str
    """Name of the measured quantity."""
    estimate: float
    ci: tuple[float, float]
    """95 % interval."""
    controls: dict[str, float] = field(default_factory=dict)
    """The same statistic, by the same pipeline, where the claim should not hold."""
    alternatives: tuple[str, ...] = ()
    """What explains the data as well; the claim is about the set."""
    verdict: Verdict
    reason: str = ""
    """Why the verdict is what it is."""
    details: dict[str, Any] = field(default_factory=dict)
    """Further numbers, by name."""

    def to_record(self) -> dict[str, Any]:
        """The finding as report.json holds it; numbers that do not exist are null."""
        return {
            "id": self.id,
            "claim": self.claim,
            "statistic": self.statistic,
            "estimate": _number(self.estimate),
            "ci": [_number(end) for end in self.ci],
            "controls": {name: _number(value) for name, value in self.controls.items()},
            "alternatives": list(self.alternatives),
            "verdict": self.verdict,
            "reason": self.reason,
            "details": {key: _number(value) for key, value in self.details.items()},
        }


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _number(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_number(inner) for inner in value]
    return value
