"""Matching by spectral responses: what it names, what it tells apart, and what supports nothing."""

from typing import Any

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

import interp
from interp.matching import (
    EigenvalueBins,
    Matches,
    ResponseSums,
    judge_layers,
    match_layers,
    match_measures,
    response_table,
    sensitivities,
    similarity_of_responses,
)
from interp.matching.match_response import BOUND, THE_MODEL
from interp.matching.readouts import problems_of
from interp.matching.twins import make_twins
from interp.models import LSTMConfig, RegressionLSTM, RegressionModel, RegressionTransformer, TransformerConfig
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression, Prompts, TokenLayout
from tests.models.tiny import FULL, INTERLEAVED

CONSTRUCTIONS = {"gd:steps=4,dim=4,noise_std=1": 0, "newton:steps=6,dim=4,noise_std=1": 2}
"""Layers that come before the one that predicts with step 0."""
GROWTH_COLUMNS = [
    "measure",
    "solver",
    "law",
    "layers",
    "steps",
    *("per_layer", "per_layer_low", "per_layer_high"),
    *("factor", "factor_low", "factor_high"),
    *("aic_difference", "aic_difference_low", "aic_difference_high"),
    "reason",
]


@pytest.fixture(scope="module")
def matches() -> dict[str, Matches]:
    """Of both constructions, with GD and Newton, whose hyperparameters are fitted."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        for spec in CONSTRUCTIONS:
            model = interp.load(spec)
            prompts = model.task.sample(128, seed=1)
            found[spec] = match_measures(
                model, prompts, ["gd", "newton"], measures=("errors", "weights", "response"), controls=[]
            )
    return found


@pytest.fixture(scope="module")
def newton(matches) -> Matches:
    return matches["newton:steps=6,dim=4,noise_std=1"]


def at_best(table: pd.DataFrame, solver: str) -> pd.DataFrame:
    """One row per layer from 1 on: a solver's best step."""
    return table[table["best"] & (table["layer"] > 0) & (table["solver"] == solver)].set_index("layer")


@pytest.mark.parametrize("spec", CONSTRUCTIONS)
def test_constructions_are_named_layer_by_layer(matches, spec):
    family, lead = spec.partition(":")[0], CONSTRUCTIONS[spec]
    predicting = judge_layers(matches[spec].tables["response"])[max(lead - 1, 0) :]
    for verdict in predicting:
        assert (verdict.solver, verdict.step, verdict.alternatives) == (family, verdict.layer - lead, ())
        assert min(verdict.similarity, verdict.ci[0], verdict.r2) > 0.9999


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_construction_is_supported_layer_by_layer_whatever_the_noise_of_its_controls(seed):
    """With so few directions in a bin the responses of the controls are noise, and alike as chance will have it."""
    model = interp.load("gd:steps=5,dim=3,noise_std=0.5")
    table = match_layers(
        model,
        model.task.sample(64, seed=seed, n_queries=8),
        ["gd", "newton", "ridge"],
        measure="response",
        twins=[model.untrained_twin(3)],
    )
    found = [(verdict.solver, verdict.step, verdict.verdict) for verdict in judge_layers(table)]
    assert found == [("gd", layer, "supported") for layer in range(1, 6)]


def test_a_layer_that_responds_to_nothing_is_like_no_solver(newton):
    (first, *_) = judge_layers(newton.tables["response"])
    assert (first.similarity, first.verdict) == (0, "refuted")
    assert first.reason == "even the upper end of its similarity, 0.000, is below 0.9"


def test_it_tells_gd_from_newton_where_similarity_of_errors_cannot(newton):
    """With noise as strong as the signal all errors are alike; which directions are solved first is not."""
    by_errors, by_response = (
        at_best(newton.tables[measure], "newton")["similarity"] - at_best(newton.tables[measure], "gd")["similarity"]
        for measure in ("errors", "response")
    )
    for layer in (2, 3, 4, 5, 6):  # the first steps, before everything is solved
        assert 0 < by_errors[layer] < 0.01
        assert by_response[layer] > max(0.018, 2.5 * by_errors[layer])
    assert by_response[2] > 50 * by_errors[2]


def test_intervals_hold_their_estimates(matches):
    for found in matches.values():
        table = found.tables["response"]
        for name in ("similarity", "r2", "skill"):
            prefix = {"similarity": "ci"}.get(name, name)
            rows = table[table[name].notna()]
            assert (rows[f"{prefix}_low"] <= rows[name] + 1e-12).all()
            assert (rows[name] <= rows[f"{prefix}_high"] + 1e-12).all()
            assert len(rows) > 50


def test_similarities_are_those_of_the_responses_on_the_second_half(newton):
    model = interp.load("newton:steps=6,dim=4,noise_std=1")
    prompts = model.task.requery(model.task.sample(128, seed=1), 32, 0)
    halves = prompts.halves()
    selection, estimation = (problems_of(model, half) for half in halves)
    bins = EigenvalueBins.of(selection.spectrum)
    weights = sensitivities(model, halves[1]).unflatten(2, (1, -1)).mean(3)
    table = newton.tables["response"]
    (hyperparameters,) = set(table[table["solver"] == "newton"]["hyperparameters"])
    assert hyperparameters.startswith("scale=constant, alpha=")
    solver = make_solver(
        "newton", scale="constant", alpha=float(hyperparameters.partition("alpha=")[2].partition(",")[0])
    )
    steps = list(range(24))
    layers, iterates = (
        ResponseSums.of(w, estimation, bins, bound).responses()
        for w, bound in ((weights, torch.inf), (solver.trace(estimation, steps).weights, BOUND))
    )
    expected = similarity_of_responses(layers[:, None], iterates[None])
    for layer in range(2, 9):
        rows = table[(table["layer"] == layer) & (table["solver"] == "newton")].set_index("step")["similarity"]
        np.testing.assert_allclose(rows.loc[steps], expected[layer], atol=1e-3)  # alpha is written in few digits


def test_skill_is_the_similarity_where_the_null_predictors_respond_to_nothing(newton):
    table = newton.tables["response"]
    rows = table[(table["layer"] >= 2)]
    nulls = rows[rows["solver"].isin(["zero", "mean"])]
    assert (nulls["similarity"] == 0).all()
    np.testing.assert_allclose(rows["skill"], rows["similarity"])


# The responses and growth laws beside the tables


def test_the_responses_given_are_those_of_the_layers_and_of_their_best_iterates(newton):
    curves = newton.responses
    assert set(curves["solver"]) == {THE_MODEL, "gd", "newton"}
    assert list(curves.columns) == [
        "layer",
        "n_examples",
        "bin",
        "eigenvalue",
        "share",
        "ci_low",
        "ci_high",
        "explained",
        "outside",
        "solver",
        "step",
    ]
    shares = {name: rows.set_index(["layer", "bin"])["share"] for name, rows in curves.groupby("solver")}
    ours = shares[THE_MODEL]
    inner = ours.index.get_level_values("layer") >= 2
    np.testing.assert_allclose(ours[inner], shares["newton"].reindex(ours.index)[inner], atol=2e-3)
    assert np.abs(ours - shares["gd"].reindex(ours.index))[inner].max() > 0.02
    steps = curves[curves["solver"] == "newton"].groupby("layer")["step"].unique()
    assert [int(step) for (step,) in steps[2:]] == list(range(7))


def test_the_responses_of_the_layers_are_those_of_a_response_table(newton):
    model = interp.load("newton:steps=6,dim=4,noise_std=1")
    selection, estimation = model.task.requery(model.task.sample(128, seed=1), 32, 0).halves()
    bins = EigenvalueBins.of(problems_of(model, selection).spectrum)
    weights = sensitivities(model, estimation).unflatten(2, (1, -1)).mean(3)
    expected = response_table(weights, problems_of(model, estimation), bins)
    rows = newton.responses[newton.responses["solver"] == THE_MODEL]
    assert_frame_equal(rows[expected.columns].reset_index(drop=True), expected, rtol=1e-9)


def test_there_is_a_growth_law_for_every_measure_and_solver_with_steps(newton):
    growth = newton.growth
    assert list(growth.columns) == GROWTH_COLUMNS
    for measure in ("errors", "weights", "response"):
        assert set(growth[growth["measure"] == measure]["solver"]) == {"gd", "newton"}
        assert len(growth[growth["measure"] == measure]) == 2


@pytest.mark.parametrize("measure", ["errors", "weights", "response"])
@pytest.mark.parametrize(("spec", "solver"), [(spec, spec.partition(":")[0]) for spec in CONSTRUCTIONS])
def test_a_construction_takes_one_more_step_of_its_own_in_each_layer(matches, spec, solver, measure):
    growth = matches[spec].growth
    ((_, row),) = growth[(growth["measure"] == measure) & (growth["solver"] == solver)].iterrows()
    lead = CONSTRUCTIONS[spec]
    steps = [int(step) for step in row["steps"].split(",")]
    assert (row["law"], [int(layer) - lead for layer in row["layers"].split(",")]) == ("linear", steps)
    assert row["per_layer"] == pytest.approx(1)


@pytest.mark.usefixtures("unchecked")
def test_the_steps_of_gd_that_match_newtons_layers_grow_exponentially():
    """By a factor of 2 if S had one eigenvalue, by a theorem; by somewhat less, since it has four."""
    model = interp.load("newton:steps=6,dim=4")
    growth = match_measures(model, model.task.sample(128, seed=1), ["gd"], measures=("errors",), controls=[]).growth
    ((_, row),) = growth[(growth["measure"] == "errors") & (growth["solver"] == "gd")].iterrows()
    assert row["law"] == "exponential"
    assert 1.6 < row["factor_low"] <= row["factor"] <= row["factor_high"] < 2.1


def test_without_its_measure_there_are_no_responses():
    model = interp.load("gd:steps=1,dim=3")
    assert match_measures(model, model.task.sample(16), ["gd:lr=1.0"], steps=[1, 2], controls=[]).responses.empty


# Divergence and effort


def test_a_prompt_on_which_a_solver_diverges_does_not_wreck_its_response():
    """The first prompt has inputs four times as large: gradient descent leaves it at a share of (1 - 16)^k."""
    prompts = LinearRegression(dim=3, n_points=9, inputs="gaussian").sample(40, seed=1).to(dtype=torch.float64)
    xs = prompts.xs.clone()
    xs[0] *= 4
    tame, wild = (Regressions.of(Prompts(xs=x, ys=prompts.ys)) for x in (prompts.xs, xs))
    solver = make_solver("gd", lr=1 / tame.spectrum.eigenvalues.max().item(), normalize="sum")
    bins = EigenvalueBins.of(tame.spectrum, 2)
    steps = [8, 1024]
    expected = ResponseSums.of(solver.trace(tame, steps).weights, tame, bins).responses()
    weights = solver.trace(wild, steps).weights
    with np.errstate(over="ignore", invalid="ignore"):
        unbounded = ResponseSums.of(weights, wild, bins).responses()
    bounded = ResponseSums.of(weights, wild, bins, BOUND)
    assert not (np.abs(unbounded - expected) < 100).all(axis=1).any()
    # What one of 40 prompts weighs, times how far a share cut at the bound may be from one between 0 and 1.
    weight = (bounded.square[0] / bounded.square.sum(0)).max().item()
    assert np.abs(bounded.responses() - expected).max() < (BOUND + 2) * weight < 0.6


def test_induced_weights_of_some_prompts_are_a_match_on_these_prompts():
    model = interp.load("gd:steps=2,dim=3,noise_std=0.5")
    prompts = model.task.sample(40, seed=1, n_queries=4)
    few = prompts[torch.cat([torch.arange(8), torch.arange(20, 28)])]
    options: dict[str, Any] = {
        "solvers": ["gd:lr=0.5", "ridge:alpha=0.5"],
        "steps": [1, 2, 4],
        "measures": ("weights", "response"),
        "controls": ["random_init"],
    }
    capped, cut = (
        match_measures(model, subject, weight_prompts=count, twins=[model.untrained_twin(3)], **options)
        for subject, count in ((prompts, 8), (few, 0))
    )
    for measure in ("weights", "response"):
        assert_frame_equal(capped.tables[measure], cut.tables[measure], rtol=1e-9)
    assert_frame_equal(capped.responses, cut.responses, rtol=1e-9)


def test_errors_are_compared_on_all_prompts_however_few_have_induced_weights():
    model = interp.load("gd:steps=2,dim=3,noise_std=0.5")
    prompts = model.task.sample(40, seed=1, n_queries=4)
    capped, full = (
        match_measures(
            model, prompts, ["gd", "ridge"], steps=[1, 2], measures=("errors", "weights"), weight_prompts=n, controls=[]
        )
        for n in (4, 0)
    )
    assert_frame_equal(capped.tables["errors"], full.tables["errors"])
    assert (capped.tables["weights"]["similarity"] - full.tables["weights"]["similarity"]).abs().max() > 1e-3


def test_one_measure_of_a_match_is_the_table_of_that_measure():
    model = interp.load("gd:steps=2,dim=3,noise_std=0.5")
    prompts = model.task.sample(24, seed=1, n_queries=4)
    options: dict[str, Any] = {"solvers": ["gd", "ols"], "steps": [1, 2], "controls": [], "n_bins": 3}
    alone = match_layers(model, prompts, measure="response", **options)
    assert_frame_equal(
        alone, match_measures(model, prompts, measures=("errors", "response"), **options).tables["response"]
    )


# Untrained models


def linear_layer(seed: int) -> RegressionModel:
    return RegressionTransformer(TransformerConfig(dim=5), LinearRegression(dim=5, n_points=11), seed=seed)


def softmax_on_interleaved_tokens(seed: int) -> RegressionModel:
    cfg = TransformerConfig(
        **{**FULL, "dim": 3, "n_layers": 2, "n_heads": 2, "layout": INTERLEAVED, "causal": True},
        query_in_context=True,
    )
    return RegressionTransformer(cfg, LinearRegression(dim=3, n_points=9), seed=seed)


def lstm(seed: int) -> RegressionModel:
    cfg = LSTMConfig(dim=3, n_layers=2, width=8, layout=TokenLayout(kind="interleaved"))
    return RegressionLSTM(cfg, LinearRegression(dim=3, n_points=9), seed=seed)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("make", [linear_layer, softmax_on_interleaved_tokens, lstm], ids=lambda make: make.__name__)
def test_untrained_models_support_nothing(make, seed):
    model = make(seed)
    twins = make_twins(model, count=1)
    table = match_layers(
        model,
        model.task.sample(64, seed=1),
        ["gd", "newton", "ridge"],
        steps=[1, 2, 5],
        measure="response",
        twins=twins,
        weight_prompts=16,
    )
    assert [verdict.layer for verdict in judge_layers(table) if verdict.verdict == "supported"] == []
