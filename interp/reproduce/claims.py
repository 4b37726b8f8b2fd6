"""Claims about runs: an estimate over seeds, a range that it should lie in, a verdict."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interp.matching.verdict import Verdict
from interp.report.chapter import judge_range
from interp.report.finding import Finding
from probes import Interval, mean_over_runs


def claim_range(
    id: str,
    claim: str,
    statistic: str,
    values: Sequence[float] | Sequence[Interval] | Interval,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    ratio: bool = False,
    paper: str = "",
    controls: Mapping[str, float] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Finding:
    """The claim that a statistic lies in [low, high], judged by its 95 % interval.

    ``values`` are one number per run (Student's t interval over runs), or each run's interval over prompts. One run is
    judged by that; of several it says what each would be judged by itself. Values of a ``ratio`` are averaged as such:
    their geometric mean, with the interval that their logarithms have. ``paper`` says what the paper or its code
    reports.
    """
    given: list[float | Interval] = [values] if isinstance(values, Interval) else list(values)
    per_run = [value.estimate if isinstance(value, Interval) else float(value) for value in given]
    by_prompts = [value for value in given if isinstance(value, Interval)]
    over_seeds = _ratio_over_runs if ratio else over_runs
    one_run = len(given) == len(by_prompts) == 1
    interval = by_prompts[0] if one_run else over_seeds(per_run)
    ci = (interval.low, interval.high)
    bounds = " and ".join(
        part
        for part in (
            f"at least {low:.6g}" if low > -math.inf else "",
            f"at most {high:.6g}" if high < math.inf else "",
        )
        if part
    )
    over = "prompts (one run)" if one_run else f"{len(given)} seeds"
    own = [_judged(value, low, high) for value in by_prompts]
    return Finding(
        id=id,
        claim=claim,
        statistic=statistic,
        estimate=interval.estimate,
        ci=ci,
        controls=dict(controls or {}),
        verdict=_judged(interval, low, high),
        reason=f"supported when the whole interval over {over} is {bounds}, refuted when none of it is; a "
        f"run without a finite number leaves it open{by_themselves(own)}",
        details={
            **({"paper": paper} if paper else {}),
            **({} if one_run else {"per seed": per_run}),
            **(details or {}),
        },
    )


def by_themselves(said: Sequence[str]) -> str:
    """The end of a reason: what each of several seeds shows by its own prompts; nothing for one run."""
    return f". By their own prompts alone the seeds are: {', '.join(said)}" if len(said) > 1 else ""


def _judged(interval: Interval, low: float, high: float) -> Verdict:
    return judge_range((interval.low, interval.high), low, high) if math.isfinite(interval.estimate) else "inconclusive"


def over_runs(values: Sequence[float]) -> Interval:
    """The mean with its interval, or no number at all where a run has none."""
    if not all(math.isfinite(value) for value in values):
        return Interval(math.nan, math.nan, math.nan)
    return mean_over_runs(values)


def _ratio_over_runs(values: Sequence[float]) -> Interval:
    logs = over_runs([math.log(value) if value > 0 else math.nan for value in values])
    return Interval(*(math.exp(end) for end in (logs.estimate, logs.low, logs.high)))


def claim_share(
    id: str,
    claim: str,
    statistic: str,
    held: Sequence[bool],
    *,
    at_least: float = 0.5,
    paper: str = "",
    details: Mapping[str, Any] | None = None,
) -> Finding:
    """The claim that something holds in at least a share of all runs, with the Wilson interval of that share.

    Few runs prove little: even three of three leave it open whether more than half of all would.
    """
    low, high = wilson(sum(held), len(held))
    return Finding(
        id=id,
        claim=claim,
        statistic=statistic,
        estimate=float(np.mean(held)),
        ci=(low, high),
        verdict="supported" if low >= at_least else "refuted" if high < at_least else "inconclusive",
        reason=f"{sum(held)} of {len(held)} runs; supported when the interval of the share lies above {at_least:.0%}, "
        "refuted when below",
        details={**({"paper": paper} if paper else {}), **(details or {})},
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a probability after ``successes`` in ``trials`` (Wilson 1927)."""
    z = 1.959964
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)
