"""Out of distribution: whether the model errs as its algorithm does."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from interp._seeds import derive_seed
from interp.matching import shifts_of
from interp.matching.descents import Descent, best_descents, written_out
from interp.matching.shifts import LossFactors, Shift, average_under_shift, loss_factors, losses_under_shift
from interp.matching.twins import make_twins
from interp.matching.verdict import Verdict
from interp.models.transformer import RegressionTransformer
from interp.report.chapter import Part
from interp.report.curves import draw_shifts
from interp.report.document import Figure
from interp.report.finding import Finding
from interp.report.render import to_svg
from probes import Interval

SHIFT_PROMPTS = 1024
SHIFT_TOLERANCE = 0.10
"""How far the two losses may be from each other, at the worst, for the model to err as the algorithm does."""
TUNING_PROMPTS = 8192
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
                caption=f"Half the mean squared error on {SHIFT_PROMPTS} prompts of each kind: inputs or hidden "
                "weights scaled, inputs of another law (each context divided by its norm and scaled to that of the "
                "task's own), noise on the labels, and so many labels of the context replaced by random ones. The "
                "algorithms are weights like the model's, with its bound on activations where it has one; their "
                f"steps were tuned on {TUNING_PROMPTS} prompts of the training distribution.",
                svg=to_svg(draw_shifts(table)),
                table="shifts",
            ),
        ),
        findings=(_finding(factors, [key for key in factors if key in twins], rival, shifts),),
        tables={"shifts": table},
    )


def _finding(
    factors: Mapping[str, LossFactors], twins: Sequence[str], rival: Descent, shifts: Sequence[Shift]
) -> Finding:
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
