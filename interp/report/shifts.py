"""Out of distribution: whether the model errs as its algorithm does."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from interp._seeds import derive_seed
from interp.matching import shifts_of
from interp.matching.apart import Apart, answer_distances, loss_factors
from interp.matching.descents import Descent, best_descents, written_out
from interp.matching.readouts import columns_of
from interp.matching.shifts import Shift, answers_under_shift, average_under_shift, losses_under_shift
from interp.matching.twins import make_twins
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.models.transformer import RegressionTransformer
from interp.report.chapter import Part
from interp.report.curves import draw_shifts
from interp.report.document import Figure
from interp.report.effort import affordable_prompts
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.solvers import tune
from interp.tasks import LinearRegression
from probes import Interval

SHIFT_PROMPTS = 1024
LEAST_SHIFT_PROMPTS = 16
SHIFT_TOLERANCE = 0.10
"""How far the two losses may be from each other, at the worst, for the model to err as the algorithm does."""
TUNING_PROMPTS = 8192
RIDGE_PROMPTS = 1024
"""Prompts that the penalty of ridge is tuned on, each at all points that the model predicts."""
DRAWN_FROM = 1e-6
"""Losses below this share of the one of predicting 0 are drawn there: least squares is exact without noise."""
MODEL, OWN = "the model", "gd++, read off"


def write_shifts(model: RegressionTransformer, family: str, own: Descent | None, seed: int) -> Part:
    """Losses of the model and of algorithms on prompts of other laws than it was trained on.

    The model is held against tuned GD or GD++ (``family``), or against the steps of its ``own`` where they are given.
    """
    shifts = shifts_of(model.task)
    # Far from the training distribution small differences of step size tell, so they are tuned on many fresh prompts.
    fresh = model.task.sample(TUNING_PROMPTS, seed=derive_seed(seed, "tuning"))
    descents = {name: written_out(found, model, fresh) for name, found in best_descents(model, fresh).items()}
    name = family if own is None else OWN
    rival = descents[name] if own is None else descents.setdefault(OWN, own)
    subjects = {MODEL: model, **{key: descent.beside(model) for key, descent in descents.items()}}
    twins = {f"twin {i}": cast(RegressionTransformer, twin) for i, twin in enumerate(make_twins(model))}
    losses = losses_under_shift(
        {**subjects, **twins}, shifts, n_prompts=SHIFT_PROMPTS, seed=derive_seed(seed, "shifts")
    )
    table = average_under_shift({name: losses[name] for name in subjects}, shifts)
    factors = {other: loss_factors(losses[other], losses[name]) for other in losses if other != name}
    return Part(
        figures=(
            Figure(
                title="Loss as the law of the prompts moves",
                caption=f"Half the mean squared error on {SHIFT_PROMPTS} prompts of each kind: {_words(shifts)}. The "
                "algorithms are weights like the model's, with its bound on activations where it has one; their "
                f"steps were tuned on {TUNING_PROMPTS} prompts of the training distribution.",
                svg=to_svg(draw_shifts(table)),
                table="shifts",
            ),
        ),
        findings=(_finding(factors, [key for key in factors if key in twins], rival, shifts),),
        tables={"shifts": table},
    )


def write_regression_shifts(model: HookedRegressor, seed: int) -> Part:
    """Answers of any model of linear regression on prompts of other laws, beside those of OLS and ridge.

    The model is held against OLS, or against ridge where its task is noisy. Its answers are compared with theirs rather
    than the losses, since OLS has none without noise. Raises ValueError for tasks that are not linear.
    """
    shifts = shifts_of(model.task)
    fresh = model.task.sample(RIDGE_PROMPTS, seed=derive_seed(seed, "tuning"))
    points = columns_of(model, fresh)
    solvers = {name: tune(name, fresh, points=None if points is None else points[1:]) for name in ("ols", "ridge")}
    rival = "ridge" if cast(LinearRegression, model.task).noise_std > 0 else "ols"
    twins = {f"twin {i}": twin for i, twin in enumerate(make_twins(model))}
    passes = len(shifts) * (1 + len(twins))
    n_prompts = affordable_prompts(model, fresh, passes, least=LEAST_SHIFT_PROMPTS, most=SHIFT_PROMPTS)
    found = answers_under_shift(
        {MODEL: model, **solvers, **twins}, shifts, n_prompts=n_prompts, seed=derive_seed(seed, "shifts")
    )
    losses = found.losses()
    table = average_under_shift({name: losses[name] for name in (MODEL, *solvers)}, shifts)
    floor = DRAWN_FROM * 0.5 * float(np.square(found.targets).mean())
    drawn = table[table["predictor"].isin([MODEL, rival])].assign(loss=lambda rows: rows["loss"].clip(lower=floor))
    return Part(
        figures=(
            Figure(
                title="Loss as the law of the prompts moves",
                caption=f"Half the mean squared error at the query on {n_prompts} prompts of each kind: "
                f"{_words(shifts)}. Beside the model: {rival}. Losses below {DRAWN_FROM:g} of the mean one of "
                "predicting 0 are drawn there.",
                svg=to_svg(draw_shifts(drawn)),
                table="shifts",
            ),
        ),
        findings=(
            _distance_finding({name: answer_distances(found, name, rival) for name in (MODEL, *twins)}, rival, shifts),
        ),
        tables={"shifts": table},
    )


def _words(shifts: Sequence[Shift]) -> str:
    """What the shifts do, in the order in which they are drawn."""
    words = {
        "input scale": "inputs scaled",
        "weight scale": "hidden weights scaled",
        "input law": "inputs of another law (each context divided by its norm and scaled to that of the task's own)",
        "inputs": "inputs of a skewed covariance, in half the dimensions, or with all examples in one orthant",
        "query": "a query that is orthogonal to all examples (of which there are fewer than dimensions then) or is one "
        "of them",
        "label noise": "noise on the labels",
        "distractors": "so many labels of the context replaced by random ones",
    }
    return "; ".join(words[kind] for kind in dict.fromkeys(shift.kind for shift in shifts))


def _distance_finding(apart: Mapping[str, Apart], rival: str, shifts: Sequence[Shift]) -> Finding:
    ours = apart[MODEL]
    largest = ours.largest
    worst = shifts[ours.worst]
    twins = [found.largest for name, found in apart.items() if name != MODEL]
    return Finding(
        id="algorithm.out_of_distribution",
        claim=f"Off its training distribution it answers as {rival} does: the mean squared distance of their answers "
        f"is less than {SHIFT_TOLERANCE:.0%} of the mean squared target under every shift",
        statistic="largest_squared_distance_over_squared_target",
        estimate=largest.estimate,
        ci=(largest.low, largest.high),
        controls={"random_init (lowest)": min(twin.estimate for twin in twins)},
        verdict=_judge(largest, SHIFT_TOLERANCE, twins),
        reason=f"the distance at the worst of {len(shifts)} shifts ({worst.kind} {_short(worst.value)}); supported "
        f"when the interval, which allows for the choice, stays below {SHIFT_TOLERANCE:g} and below every untrained "
        "twin's",
        details={
            "distance by shift": {
                f"{s.kind} {_short(s.value)}": float(d) for s, d in zip(shifts, ours.by_shift, strict=True)
            }
        },
    )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _finding(factors: Mapping[str, Apart], twins: Sequence[str], rival: Descent, shifts: Sequence[Shift]) -> Finding:
    ours = factors[MODEL]
    largest = ours.largest
    bound = 1 + SHIFT_TOLERANCE
    worst = shifts[ours.worst]
    kinds = np.array([shift.kind for shift in shifts])
    return Finding(
        id="algorithm.out_of_distribution",
        claim=f"Off its training distribution it errs as {rival.name} does: their losses differ by less than "
        f"{SHIFT_TOLERANCE:.0%} under every shift",
        statistic="largest_factor_between_the_losses",
        estimate=largest.estimate,
        ci=(largest.low, largest.high),
        controls={"random_init (lowest)": min(factors[name].largest.estimate for name in twins)},
        verdict=_judge(largest, bound, [factors[name].largest for name in twins]),
        reason=f"the factor, up or down, at the worst of {len(shifts)} shifts ({worst.kind} {worst.value}); supported "
        f"when the interval, which allows for the choice, stays below {bound:g} and below every untrained twin's",
        details={
            "largest factor by shift": {
                str(kind): float(ours.by_shift[kinds == kind].max()) for kind in dict.fromkeys(kinds)
            },
            **{
                f"largest factor between {name} and {rival.name}": found.largest.estimate
                for name, found in factors.items()
                if name != MODEL and name not in twins
            },
        },
    )


def _judge(largest: Interval, bound: float, twins: Sequence[Interval]) -> Verdict:
    if largest.low > bound:
        return "refuted"
    if not math.isfinite(largest.high):
        return "inconclusive"
    return "supported" if largest.high <= bound and largest.high < min(twin.low for twin in twins) else "inconclusive"
