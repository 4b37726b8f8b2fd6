"""The rule of evidence, branch by branch, on tables written by hand."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from interp.matching import LayerVerdict, judge_layers
from tests.errors import raises_exactly


def row(
    solver: str,
    *,
    layer: int = 1,
    similarity: float = 0.98,
    ci: tuple[float, float] = (0.97, 0.99),
    skill: float = 0.9,
    skill_ci: tuple[float, float] = (0.88, 0.92),
    **changes: Any,
) -> dict[str, Any]:
    """A best row whose family beats every control clearly."""
    return {
        "layer": layer,
        "solver": solver,
        "step": 2,
        "similarity": similarity,
        "ci_low": ci[0],
        "ci_high": ci[1],
        "r2": 0.95,
        "r2_low": 0.94,
        "r2_high": 0.96,
        "skill": skill,
        "skill_low": skill_ci[0],
        "skill_high": skill_ci[1],
        "best": True,
        "hyperparameters": f"of {solver}",
        "n_free": 1,
        "coincides": "",
        "random_init": 0.7,
        "random_init_skill": 0.1,
        "random_init_skill_low": 0.05,
        "random_init_skill_high": 0.15,
        "shuffled_targets": 0.5,
        "shuffled_targets_skill": 0.02,
        "shuffled_targets_skill_low": 0.0,
        "shuffled_targets_skill_high": 0.04,
        **changes,
    }


def nulls(
    layer: int = 1, zero: tuple[float, float] = (0.7, 0.8), mean: tuple[float, float] = (0.6, 0.7)
) -> list[dict[str, Any]]:
    return [
        row(name, layer=layer, similarity=sum(ci) / 2, ci=ci, skill=0.0, skill_ci=(0.0, 0.0), n_free=0)
        for name, ci in (("zero", zero), ("mean", mean))
    ]


def judged(*rows: dict[str, Any], without: Sequence[str] = ()) -> list[LayerVerdict]:
    table = pd.DataFrame(rows).drop(
        columns=[name for name in rows[0] if name.startswith(tuple(without) or "no column")]
    )
    return judge_layers(table)


def the_verdict(*rows: dict[str, Any], **options: Any) -> LayerVerdict:
    (verdict,) = judged(*rows, *nulls(), **options)
    return verdict


def test_above_the_threshold_and_every_control_is_supported():
    verdict = the_verdict(row("gd"))
    assert (verdict.verdict, verdict.reason) == ("supported", "above 0.9, above every control and every null predictor")
    assert (verdict.layer, verdict.solver, verdict.step, verdict.hyperparameters) == (1, "gd", 2, "of gd")
    assert (verdict.similarity, verdict.ci, verdict.skill, verdict.skill_ci) == (0.98, (0.97, 0.99), 0.9, (0.88, 0.92))
    assert verdict.controls == {"random_init": 0.7, "shuffled_targets": 0.5, "null (zero)": 0.75}
    assert verdict.control_skills == {"random_init": 0.1, "shuffled_targets": 0.02}
    assert verdict.alternatives == ()


def test_below_the_threshold_is_refuted():
    verdict = the_verdict(row("gd", similarity=0.85, ci=(0.83, 0.87)))
    assert verdict.verdict == "refuted"
    assert verdict.reason == "even the upper end of its similarity, 0.870, is below 0.9"


def test_what_cannot_be_told_from_a_null_predictor_is_inconclusive():
    (verdict,) = judged(row("gd"), *nulls(zero=(0.5, 0.6), mean=(0.96, 0.975)))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == "the layer cannot be told from the mean predictor, which knows nothing"


@pytest.mark.parametrize("control", ["random_init", "shuffled_targets"])
def test_a_control_that_does_better_refutes(control):
    better: dict[str, Any] = {f"{control}_skill": 0.96, f"{control}_skill_low": 0.95, f"{control}_skill_high": 0.97}
    verdict = the_verdict(row("gd", **better))
    assert (verdict.verdict, verdict.reason) == ("refuted", f"the control {control} does better (skill 0.960)")


def test_an_interval_that_reaches_below_the_threshold_is_inconclusive():
    verdict = the_verdict(row("gd", similarity=0.91, ci=(0.89, 0.93)))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == "the interval of its similarity reaches below 0.9"


@pytest.mark.parametrize("control", ["random_init", "shuffled_targets"])
def test_a_control_that_comes_near_leaves_it_inconclusive(control):
    near: dict[str, Any] = {f"{control}_skill": 0.85, f"{control}_skill_low": 0.8, f"{control}_skill_high": 0.89}
    verdict = the_verdict(row("gd", **near))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == f"the control {control} reaches a skill of up to 0.890"


def test_without_untrained_twins_nothing_is_supported():
    verdict = the_verdict(row("gd"), without=["random_init"])
    assert (verdict.verdict, verdict.reason) == ("inconclusive", "the control of untrained twins was not run")
    assert verdict.controls == {"shuffled_targets": 0.5, "null (zero)": 0.75}


def test_without_any_control_refutation_is_still_possible():
    verdict = the_verdict(row("gd", similarity=0.5, ci=(0.4, 0.6)), without=["random_init", "shuffled_targets"])
    assert verdict.verdict == "refuted"


def test_the_best_family_is_named_and_those_it_cannot_be_told_from_beside_it():
    verdict = the_verdict(
        row("gd", similarity=0.97, ci=(0.96, 0.975)),
        row("gd++", similarity=0.98, ci=(0.974, 0.985)),
        row("newton", similarity=0.91, ci=(0.90, 0.92)),
    )
    assert (verdict.solver, verdict.alternatives) == ("gd++", ("gd",))


def test_what_is_refuted_has_no_alternatives():
    verdict = the_verdict(row("gd", similarity=0.8, ci=(0.75, 0.85)), row("gd++", similarity=0.79, ci=(0.74, 0.84)))
    assert (verdict.verdict, verdict.alternatives) == ("refuted", ())


def test_of_families_that_answer_the_same_the_one_with_fewest_free_hyperparameters_is_named():
    verdict = the_verdict(
        row("gd++", similarity=0.9801, n_free=2, coincides="gd"), row("gd", n_free=1, coincides="gd++")
    )
    assert (verdict.solver, verdict.alternatives) == ("gd", ())


def test_of_families_that_answer_the_same_the_one_that_fits_the_whole_model_is_named():
    """After one step gd and gd++ are the same; the second layer tells them apart."""
    rows = [
        row("gd", coincides="gd++", skill=0.99, skill_ci=(0.98, 1.0)),
        row("gd++", n_free=2, coincides="gd", skill=0.99, skill_ci=(0.98, 1.0)),
        row("gd", layer=2, similarity=0.93, ci=(0.92, 0.94), skill=0.7),
        row("gd++", layer=2, n_free=2, similarity=0.99, ci=(0.985, 0.995), skill=0.97),
    ]
    first, second = judged(*rows, *nulls(1), *nulls(2))
    assert (first.layer, first.solver) == (1, "gd++")
    assert (second.layer, second.solver, second.alternatives) == (2, "gd++", ())


def test_a_layer_that_knows_nothing_says_nothing_about_which_family_fits_the_whole_model():
    """Where a null predictor is all but perfect there is no room for skill, and any number can come out."""
    rows = [
        row("gd", similarity=0.3, ci=(0.2, 0.4), skill=-5.0, skill_ci=(-6.0, -4.0)),
        row("gd++", n_free=2, similarity=0.2, ci=(0.1, 0.3), skill=-900.0, skill_ci=(-950.0, -850.0)),
        row("gd", layer=2, coincides="gd++", skill=0.7),
        row("gd++", layer=2, n_free=2, coincides="gd", skill=0.9),
    ]
    _, second = judged(*rows, *nulls(1), *nulls(2))
    assert second.solver == "gd++"


def test_the_embedding_and_steps_that_are_not_best_are_left_out():
    verdicts = judged(
        row("gd", layer=0, similarity=1.0),
        row("gd", best=False, step=7, similarity=1.0),
        row("gd"),
        *nulls(0),
        *nulls(1),
    )
    assert [(verdict.layer, verdict.step) for verdict in verdicts] == [(1, 2)]


def test_layers_are_judged_in_order_and_each_by_its_own_rows():
    verdicts = judged(
        row("gd", layer=3, similarity=0.5, ci=(0.4, 0.6)), row("gd", layer=1), *nulls(3), *nulls(1, zero=(0.98, 0.99))
    )
    assert [(verdict.layer, verdict.verdict) for verdict in verdicts] == [(1, "inconclusive"), (3, "refuted")]


def test_null_predictors_alone_cannot_be_judged():
    with raises_exactly(
        ValueError, "The table has no candidate besides the null predictors; match at least one solver."
    ):
        judged(*nulls())


def test_where_every_candidate_diverged_there_is_nothing_to_judge():
    diverged = row("gd", layer=2, similarity=float("nan"), ci=(float("nan"),) * 2, skill=float("nan"))
    table = pd.DataFrame([row("gd"), *nulls(), diverged, *nulls(layer=2)])
    with raises_exactly(
        ValueError,
        "No candidate has finite answers at layer(s) 2: all of their iterates diverged; match smaller steps, or leave "
        "the hyperparameters free.",
    ):
        judge_layers(table)


def test_a_family_that_diverged_at_a_layer_does_not_fit_the_model_better_for_it():
    """Of two that are one answer at layer 1, gd has the higher skill there, and none at layer 2."""
    table = pd.DataFrame(
        [
            row("gd", skill=0.95, coincides="newton"),
            row("newton", skill=0.9, coincides="gd"),
            *nulls(),
            row("gd", layer=2, similarity=float("nan"), skill=float("nan")),
            row("newton", layer=2, skill=0.9),
            *nulls(layer=2),
        ]
    )
    assert [verdict.solver for verdict in judge_layers(table)] == ["newton", "newton"]
