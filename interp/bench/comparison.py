"""What a measurement found."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two ways of doing the same work, timed in turn in one process."""

    part: str
    unit: str
    """The work that the seconds are for, such as ``heat map`` or ``update``."""
    reference_name: str
    """What ours is compared with."""
    ours_runs: tuple[float, ...]
    """Seconds of each repetition of ours."""
    reference_runs: tuple[float, ...]
    """Seconds of each repetition of the reference, scaled to the whole work where ``note`` says so."""
    required_ratio: float | None
    """The least ratio that this project asks of itself, where it asks for one."""
    largest_difference: float
    """Largest absolute difference between the two results, where both were computed."""
    device: str
    """Where ours ran."""
    n_threads: int
    """CPU threads that both had."""
    note: str
    """What was measured, and what was not."""

    @property
    def ours_s(self) -> float:
        """Median seconds of ours."""
        return median(self.ours_runs)

    @property
    def reference_s(self) -> float:
        """Median seconds of the reference."""
        return median(self.reference_runs)

    @property
    def ratio(self) -> float:
        """How many times as fast ours is: reference over ours."""
        return self.reference_s / self.ours_s


def to_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row per comparison: medians in seconds per unit, their ratio, and how they came about."""
    columns = [
        "part",
        "unit",
        "reference_name",
        "ours_s",
        "reference_s",
        "ratio",
        "required_ratio",
        "largest_difference",
        "n_runs",
        "device",
        "n_threads",
        "note",
    ]
    rows = [
        [len(comparison.ours_runs) if name == "n_runs" else getattr(comparison, name) for name in columns]
        for comparison in comparisons
    ]
    return pd.DataFrame(rows, columns=columns)


def require_agreement(what: str, largest_difference: float, tolerance: float) -> float:
    """Pass ``largest_difference`` on, or raise ValueError: another computation's speed would mean nothing."""
    if not largest_difference <= tolerance:
        raise ValueError(
            f"{what} disagree: expected a largest difference of at most {tolerance:g}, got "
            f"{largest_difference:.3g}. Timing them would compare two different computations; "
            "mend the wrong one first."
        )
    return largest_difference
