"""From a match table to a verdict on each layer."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from interp.solvers import NULL_SOLVERS

Verdict = Literal["supported", "refuted", "inconclusive"]

THRESHOLD = 0.9
SAME_FIT = 1e-4
"""Families whose mean skills over the layers differ by less fit the model equally well."""


@dataclass(frozen=True)
class LayerVerdict:
    """What the table says of one layer."""

    layer: int
    solver: str
    """The best family. With ``alternatives`` the claim is about the set."""
    step: int
    hyperparameters: str
    similarity: float
    ci: tuple[float, float]
    skill: float
    skill_ci: tuple[float, float]
    r2: float
    controls: dict[str, float]
    """Similarity that each control reaches for the same family, and that of the best null predictor."""
    control_skills: dict[str, float]
    alternatives: tuple[str, ...]
    """Families that cannot be told from the best one: their intervals overlap its."""
    verdict: Verdict
    reason: str


def judge_layers(table: pd.DataFrame) -> list[LayerVerdict]:
    """Apply the rule of evidence to every layer from 1 on of a table from `match_layers`.

    *Supported*: the lower end of the best family's similarity is above 0.9, and above the null predictors' upper ends,
    and the lower end of its skill is above the upper end of every control's. *Refuted*: the upper end of the
    similarity is below 0.9, or that of the skill below the lower end of a control's. Else *inconclusive*; so too
    without the control of untrained twins. Where best iterates of several families give the same answers, the family
    that fits the whole model best is named, and among equals the one with fewest free hyperparameters. Raises
    ValueError for a table without candidates, and for a layer where all of them diverged.
    """
    best = table[table["best"] & (table["layer"] > 0)]
    candidates = best[~best["solver"].isin(NULL_SOLVERS)]
    if candidates.empty:
        raise ValueError("The table has no candidate besides the null predictors; match at least one solver.")
    # As in the fit of hyperparameters, a layer that a null predictor explains better says nothing of a family.
    # One whose iterates diverge at a layer is not judged by the others alone.
    fit = candidates["skill"].fillna(0).clip(lower=0).groupby(candidates["solver"]).mean()
    silent = candidates.groupby("layer")["similarity"].count().eq(0)
    if silent.any():
        raise ValueError(
            f"No candidate has finite answers at layer(s) {', '.join(map(str, silent.index[silent]))}: all of their "
            "iterates diverged; match smaller steps, or leave the hyperparameters free."
        )
    return [
        _judge(layer, rows, best[(best["layer"] == layer) & best["solver"].isin(NULL_SOLVERS)], fit)
        for layer, rows in candidates.groupby("layer", sort=True)
    ]


def _judge(layer: object, rows: pd.DataFrame, nulls: pd.DataFrame, fit: "pd.Series[float]") -> LayerVerdict:
    top = rows.iloc[int(rows["similarity"].argmax())]
    same = rows[rows["solver"].isin([top["solver"], *str(top["coincides"]).split(",")])]
    best_fit = same["solver"].map(fit).max()
    equals = same[same["solver"].map(fit) >= best_fit - SAME_FIT]
    named = equals.sort_values(["n_free", "similarity"], ascending=[True, False]).iloc[0]
    others = rows[~rows["solver"].isin(same["solver"])]
    alternatives = tuple(others[others["ci_high"] >= named["ci_low"]]["solver"])
    null = nulls.iloc[int(nulls["ci_high"].argmax())]
    control_names = [name.removesuffix("_skill") for name in rows.columns if name.endswith("_skill")]
    verdict, reason = _decide(named, null, control_names)
    if verdict == "refuted":
        alternatives = ()  # what no family explains is no set of explanations either
    return LayerVerdict(
        layer=int(str(layer)),
        solver=str(named["solver"]),
        step=int(named["step"]),
        hyperparameters=str(named["hyperparameters"]),
        similarity=float(named["similarity"]),
        ci=(float(named["ci_low"]), float(named["ci_high"])),
        skill=float(named["skill"]),
        skill_ci=(float(named["skill_low"]), float(named["skill_high"])),
        r2=float(named["r2"]),
        controls={
            **{name: float(named[name]) for name in control_names},
            f"null ({null['solver']})": float(null["similarity"]),
        },
        control_skills={name: float(named[f"{name}_skill"]) for name in control_names},
        alternatives=alternatives,
        verdict=verdict,
        reason=reason,
    )


def _decide(row: "pd.Series[float]", null: "pd.Series[float]", controls: list[str]) -> tuple[Verdict, str]:
    if row["ci_high"] < THRESHOLD:
        return "refuted", f"even the upper end of its similarity, {row['ci_high']:.3f}, is below {THRESHOLD}"
    if null["ci_high"] >= row["ci_low"]:
        return "inconclusive", f"the layer cannot be told from the {null['solver']} predictor, which knows nothing"
    for name in controls:
        if row["skill_high"] < row[f"{name}_skill_low"]:
            return "refuted", f"the control {name} does better (skill {row[f'{name}_skill']:.3f})"
    if row["ci_low"] <= THRESHOLD:
        return "inconclusive", f"the interval of its similarity reaches below {THRESHOLD}"
    if "random_init" not in controls:
        return "inconclusive", "the control of untrained twins was not run"
    for name in controls:
        if row["skill_low"] <= row[f"{name}_skill_high"]:
            return "inconclusive", f"the control {name} reaches a skill of up to {row[f'{name}_skill_high']:.3f}"
    return "supported", f"above {THRESHOLD}, above every control and every null predictor"
