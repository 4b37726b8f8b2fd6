"""The algorithm that each layer follows best."""

from dataclasses import dataclass
from typing import ClassVar, final

import pandas as pd

from interp.matching import LayerVerdict, judge_layers, match_layers
from interp.matching.families import DEFAULT_FAMILIES, make_family
from interp.models.any_model import AnyModel
from interp.sweeps.analyses.analysis import AbstractAnalysis, Measured, require_at_least


@final
@dataclass(frozen=True, kw_only=True)
class BestMatches(AbstractAnalysis):
    """The best match of every layer with a verdict, as `match_layers` and `judge_layers` find it."""

    kind: ClassVar[str] = "match"
    title: ClassVar[str] = "The algorithm of each layer"
    introduction: ClassVar[str] = (
        "Every layer's best match among the candidate algorithms and its verdict, by the similarity of errors; the "
        "drawings show the last layer. Similarity means nothing where a null predictor (zero, or the mean) reaches it; "
        "skill is what the match is better by."
    )
    drawn: ClassVar[dict[str, str]] = {
        "match_similarity": "similarity of the last layer",
        "match_skill": "skill of the last layer's match",
        "match_step": "step that the last layer matches",
    }
    drawn_beside: ClassVar[dict[str, tuple[str, str]]] = {
        "match_similarity": ("match_null", "best null predictor"),
        "match_skill": ("match_skill_random_init", "untrained twins"),
    }
    drawn_apart: ClassVar[dict[str, str]] = {"match_step": "match_solver"}
    drawn_log: ClassVar[frozenset[str]] = frozenset({"match_step"})

    n_prompts: int = 512
    n_queries: int = 32
    """Queries asked of each context, for models that predict the query alone."""
    solvers: tuple[str, ...] = DEFAULT_FAMILIES
    steps: tuple[int, ...] = ()
    """Step counts to try; each solver's own if empty."""

    def __post_init__(self) -> None:
        require_at_least(self.kind, "n_prompts", self.n_prompts, 8)
        require_at_least(self.kind, "n_queries", self.n_queries, 2)
        require_at_least(self.kind, "number of solvers", len(self.solvers), 1)
        for solver in self.solvers:
            make_family(solver, many_prefixes=True, steps=self.steps or None)

    def measure(self, model: AnyModel) -> Measured:
        """The verdict on every layer; the numbers are the last layer's."""
        prompts = self.sample(model, self.n_prompts)
        table = match_layers(
            model, prompts, self.solvers, steps=self.steps or None, n_queries=self.n_queries, seed=self.seed
        )
        verdicts = judge_layers(table)
        last = verdicts[-1]
        null = max(similarity for name, similarity in last.controls.items() if name not in last.control_skills)
        return Measured(
            numbers={
                "match_solver": last.solver,
                "match_step": last.step,
                "match_similarity": last.similarity,
                "match_low": last.ci[0],
                "match_high": last.ci[1],
                "match_null": null,
                "match_skill": last.skill,
                **{f"match_skill_{name}": skill for name, skill in last.control_skills.items()},
                "match_verdict": last.verdict,
            },
            table=pd.DataFrame([_row(verdict) for verdict in verdicts]),
        )


def _row(verdict: LayerVerdict) -> dict[str, object]:
    return {
        "layer": verdict.layer,
        "solver": verdict.solver,
        "step": verdict.step,
        "hyperparameters": verdict.hyperparameters,
        "similarity": verdict.similarity,
        "ci_low": verdict.ci[0],
        "ci_high": verdict.ci[1],
        "skill": verdict.skill,
        "skill_low": verdict.skill_ci[0],
        "skill_high": verdict.skill_ci[1],
        **{f"{name}_skill": value for name, value in verdict.control_skills.items()},
        "r2": verdict.r2,
        "alternatives": ", ".join(verdict.alternatives),
        "verdict": verdict.verdict,
        "reason": verdict.reason,
    }
