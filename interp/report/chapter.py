"""A part of a report in the making."""

from dataclasses import dataclass, field

import pandas as pd

from interp.matching.verdict import Verdict
from interp.report.document import Figure, Section
from interp.report.finding import Finding


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """What one analysis contributes: findings, tables and the section that shows them."""

    section: Section
    findings: tuple[Finding, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one analysis contributes to a chapter that has others too."""

    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def judge_range(ci: tuple[float, float], low: float, high: float) -> Verdict:
    """Supported where the interval lies inside [low, high], refuted where wholly outside, else inconclusive."""
    if low <= ci[0] and ci[1] <= high:
        return "supported"
    return "refuted" if ci[1] < low or ci[0] > high else "inconclusive"


def count_of(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
