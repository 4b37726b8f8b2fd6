"""What several figures measure alike: who matches a layer best, at which step, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray

from interp.matching import Family, GrowthLaw, make_family
from interp.matching.families import with_nulls
from interp.matching.growth import DECISIVE, INFORMED
from interp.matching.match import growth_laws
from interp.matching.observed import Observed, Promptwise
from interp.matching.pipeline import Pipeline, resampled_means, skill
from interp.matching.readouts import ask_many_queries, columns_of, default_readout
from interp.matching.score_sums import Fitted, PipelineRun
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor
from interp.report.finding import Finding
from interp.reproduce.claims import by_themselves, claim_range, over_runs
from interp.reproduce.lab import Lab, model_of
from interp.solvers import GradientDescent, Newton, Regressions
from interp.tasks import Prompts
from interp.training import Run
from probes import Interval
from probes.intervals import percentiles

NEWTON_STEPS = tuple(range(41))
GD_STEPS = tuple(sorted({0, *(round(2 ** (k / 4)) for k in range(65))}))
"""From 0 to 2^16 steps, four to an octave: each layer takes a multiple of the steps of the one before."""
LRS = {20: 0.01, 5: 0.02}
"""Steps of GD, sum-normalised, by dim: the published one, and one as far from divergence on short prompts of dim 5."""
N_QUERIES = 32
"""Asked of a model that predicts the query alone."""
WEIGHT_PROMPTS = 128
"""Prompts of each half that induced weights, which take a backward pass for every layer, are taken of."""


def runs_of(lab: Lab, variation: str = "") -> list[Run]:
    """The models of Garg et al.'s architecture that a figure is about: small ones where the lab is quick."""
    return lab.shipped_or_trained(f"garg-{'tiny' if lab.quick else 'standard'}{variation}")


def prompts_for(lab: Lab, model: HookedRegressor) -> Prompts:
    """Prompts of a match: one half selects, the other estimates."""
    return lab.prompts(model.task)[: min(lab.n_prompts, 1024 if lab.quick else 2048)]


def gd_family(prompts: Prompts, isotropic: Prompts | None = None) -> Family:
    """GD of a fixed step; on other than isotropic inputs as long as theirs relative to the leading eigenvalue."""
    lr = LRS.get(prompts.dim, 0.01)
    if isotropic is not None:
        lr *= _top(isotropic) / _top(prompts)
    return make_family(GradientDescent(lr=lr, normalize="sum"), many_prefixes=True, steps=GD_STEPS)


def newton_family() -> Family:
    """Newton from the released code's start."""
    return make_family(Newton(scale="frobenius"), many_prefixes=True, steps=NEWTON_STEPS)


def _top(prompts: Prompts) -> float:
    return Regressions.of(prompts, points=(prompts.n_points - 1,)).spectrum.top


@dataclass(frozen=True)
class Contest:
    """Several families against the layers of one model, by one measure of similarity.

    Hyperparameters and best steps were chosen on one half of the prompts, all numbers are of the other.
    """

    run: PipelineRun
    observed: Observed
    """The prompts that the numbers are of."""
    measure: Promptwise

    def fitted(self, family: str) -> Fitted:
        """What was chosen of a family."""
        return next(fitted for fitted in self.run.fitted if fitted.family.name == family)

    def similarity(self, family: str) -> Float[NDArray[np.float64], "layer prompt"]:
        """With the iterate chosen for each layer."""
        return self._similarities[family]

    @cached_property
    def informed(self) -> tuple[int, ...]:
        """Layers from 1 on that some family explains better than a null predictor, for certain."""
        null = self.run.null.resampled.max(axis=1)
        candidates = [fitted.family.name for fitted in self.run.fitted if not fitted.family.is_null]
        low = np.max([percentiles(skill(resampled_means(self.similarity(f)), null))[0] for f in candidates], axis=0)
        return tuple(int(layer) for layer in np.flatnonzero(low > INFORMED) if layer > 0)

    @cached_property
    def laws(self) -> dict[str, GrowthLaw]:
        """How the best steps of each family grow with the layer."""
        return growth_laws(self.run)

    def best_steps(self, family: str, layers: Sequence[int]) -> Int[NDArray[np.int_], "resample layer"]:
        """Steps at which a family is most similar to these layers, in bootstrap resamples of the prompts."""
        fitted = self.fitted(family)
        drawn = np.nan_to_num(fitted.similarity.resampled[:, list(layers)], nan=-2.0)
        return np.asarray(fitted.family.steps)[drawn.argmax(axis=-1)]

    def rows(self, panel: str, family: str, seed: int | str) -> pd.DataFrame:
        """Best similarity by layer, as part of a figure's table."""
        mean = self.similarity(family).mean(-1)
        return pd.DataFrame({"panel": panel, "series": family, "seed": seed, "x": range(len(mean)), "y": mean})

    @cached_property
    def _similarities(self) -> dict[str, Float[NDArray[np.float64], "layer prompt"]]:
        found = {}
        for fitted in self.run.fitted:
            similarity = self.observed.similarity(fitted.solver, fitted.family.steps, self.measure)
            found[fitted.family.name] = np.asarray(similarity[range(len(fitted.best)), fitted.best].cpu())
        return found


def contests(
    model: HookedRegressor,
    prompts: Prompts,
    families: Sequence[str | Family],
    *,
    measures: Sequence[Promptwise] = ("errors", "weights"),
    first_point: int = 1,
    weight_prompts: int = WEIGHT_PROMPTS,
) -> dict[Promptwise, Contest]:
    """Match the layers with all families, by similarity of errors and of induced weights.

    Points before ``first_point`` are left out. Induced weights are those of ``weight_prompts`` of each half.
    """
    asked = ask_many_queries(model, prompts, N_QUERIES, seed=0)
    many = columns_of(model, asked) is not None
    pipeline = Pipeline(
        readout=default_readout(model),
        measures=measures,
        with_weights="weights" in measures,
        weight_prompts=weight_prompts,
        families=with_nulls([make_family(family, many_prefixes=many) for family in families]),
        first_column=first_point if many else 0,
        hold=len(prompts),
    )
    result, found = pipeline.run(model, *asked.halves()), {}
    for measure, run in result.runs.items():
        observed = result.estimation if measure == "weights" else result.answers
        assert observed is not None
        found[measure] = Contest(run, observed, measure)
    return found


def contest(
    model: HookedRegressor, prompts: Prompts, families: Sequence[str | Family], *, first_point: int = 1
) -> Contest:
    """`contests` by similarity of errors alone."""
    return contests(model, prompts, families, measures=("errors",), first_point=first_point)["errors"]


def untrained(model: HookedRegressor) -> HookedRegressor:
    """The model's twin of random weights."""
    return make_twins(model, None, count=1)[0]


def middle_and_late(n_layers: int) -> range:
    """The second half of the layers."""
    return range(n_layers // 2 + 1, n_layers + 1)


def layers_named(layers: Sequence[int]) -> str:
    """``layer 2``, or ``layer 2 or 4`` where the runs differ."""
    return "layer " + " or ".join(str(layer) for layer in sorted(set(layers)))


def interval_over_runs(values: Sequence[Interval]) -> Interval:
    """One run's interval over prompts, or that of several runs' estimates over seeds."""
    return values[0] if len(values) == 1 else over_runs([value.estimate for value in values])


def difference(
    ours: Sequence[Float[NDArray[np.float64], " prompt"]], theirs: Sequence[Float[NDArray[np.float64], " prompt"]]
) -> Interval:
    """Mean of the lowest of ours minus that of the highest of theirs, both picked anew in every resample."""
    drawn = np.min([resampled_means(values) for values in ours], axis=0) - np.max(
        [resampled_means(values) for values in theirs], axis=0
    )
    low, high = percentiles(drawn)
    estimate = min(values.mean() for values in ours) - max(values.mean() for values in theirs)
    return Interval(float(estimate), float(low), float(high))


def lowest(values: Float[NDArray[np.float64], "layer prompt"]) -> Interval:
    """The lowest mean of several layers. Both ends are the lowest of the layers' own."""
    low, high = percentiles(resampled_means(values))
    return Interval(float(values.mean(-1).min()), float(low.min()), float(high.min()))


def claim_law(
    id: str, claim: str, law: str, laws: Sequence[GrowthLaw], *, paper: str, controls: dict[str, float] | None = None
) -> Finding:
    """The claim that best steps grow by a law, ``linear`` or ``exponential``, judged by Akaike's criterion.

    The statistic is the criterion of the linear law minus that of the exponential one.
    """
    by_run = [found.aic_difference for found in laws]
    finding = claim_range(
        id,
        claim,
        "aic_of_linear_minus_exponential",
        by_run,
        low=-math.inf if law == "linear" else DECISIVE,
        high=-DECISIVE if law == "linear" else math.inf,
        paper=paper,
        controls=controls,
        details={
            "best steps": [dict(zip(map(str, found.layers), found.steps, strict=True)) for found in laws],
            "added per layer": interval_over_runs([found.per_layer for found in laws]).estimate,
            "factor per layer": interval_over_runs([found.factor for found in laws]).estimate,
        },
    )
    low, high = finding.ci
    if not math.isfinite(finding.estimate):
        return replace(finding, verdict="inconclusive", reason="; ".join(sorted({found.reason for found in laws})))
    # What is not this law by the criterion need not be the other one.
    other = low > DECISIVE if law == "linear" else high < -DECISIVE
    verdict = finding.verdict if finding.verdict == "supported" else "refuted" if other else "inconclusive"
    over = "prompts (one run)" if len(laws) == 1 else f"{len(laws)} seeds"
    return replace(
        finding,
        verdict=verdict,
        reason=f"supported when Akaike's criterion prefers the {law} law by more than {DECISIVE:g} in the whole "
        f"interval over {over}, refuted when it prefers the other as much"
        f"{by_themselves([found.law for found in laws])}",
    )


def left_open_unless(held: bool, reason: str, finding: Finding) -> Finding:
    """The finding, left open where what it presupposes does not hold: the claim would be empty."""
    return finding if held else replace(finding, verdict="inconclusive", reason=reason)


def models_of(runs: Sequence[Run]) -> list[tuple[int, HookedRegressor]]:
    """Seed and model of every run."""
    return [(run.seed, model_of(run)) for run in runs]
