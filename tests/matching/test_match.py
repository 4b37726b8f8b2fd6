from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

import interp
from interp.matching import (
    judge_layers,
    layer_states,
    match_layers,
    match_measures,
    native_predictions,
    sensitivities,
    similarity_of_errors,
    similarity_of_weights,
)
from interp.matching.twins import make_twins
from interp.models import HookedRegressor, RegressionTransformer, TransformerConfig
from interp.solvers import SOLVERS, GradientDescent, Regressions, make_solver, tune
from interp.tasks import LinearRegression, Prompts
from probes import resampling_weights
from tests.errors import raises_exactly
from tests.matching.models import TheirModel
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

CONSTRUCTIONS = {"gd:steps=3": 0, "gd++:steps=2": 0, "newton:steps=4": 2}
"""Layers that come before the one that predicts with step 0."""
FAMILIES = ("gd", "gd++", "newton")
STEPS = range(7)


def noisy(spec: str, dim: int, n_prompts: int = 256) -> tuple[RegressionTransformer, Prompts]:
    """A construction and prompts with noisy y, on which no solver reaches an error of 0."""
    model = interp.load(f"{spec},dim={dim},noise_std=0.5")
    return model, model.task.sample(n_prompts, seed=1)


def best_rows(table: pd.DataFrame, layer: int) -> pd.DataFrame:
    return table[table["best"] & (table["layer"] == layer)]


def is_named_rightly(verdict, spec):
    """Layer l predicts with step l, or with step l - 2 where two layers prepare."""
    family, step = spec.partition(":")[0], verdict.layer - CONSTRUCTIONS[spec]
    return (verdict.solver, verdict.step) == (family, step) and min(verdict.similarity, verdict.r2) > 0.999


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dim", [2, 20])
@pytest.mark.parametrize("spec", CONSTRUCTIONS)
def test_constructions_are_named_rightly_layer_by_layer(spec, dim):
    table = match_layers(*noisy(spec, dim), FAMILIES, steps=STEPS, controls=[])
    predicting = judge_layers(table)[max(CONSTRUCTIONS[spec] - 1, 0) :]
    assert all(is_named_rightly(verdict, spec) for verdict in predicting)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("dim", "n_twins"), [(5, 1), *(pytest.param(dim, 3, marks=pytest.mark.slow) for dim in (2, 5, 20))]
)
@pytest.mark.parametrize("spec", CONSTRUCTIONS)
def test_constructions_are_supported_where_they_predict_and_undecided_where_they_do_not_yet(spec, dim, n_twins):
    model, prompts = noisy(spec, dim)
    twins = make_twins(model, count=n_twins)
    for verdict in judge_layers(match_layers(model, prompts, FAMILIES, steps=STEPS, twins=twins)):
        if verdict.layer < CONSTRUCTIONS[spec]:
            assert verdict.verdict == "inconclusive"
            assert verdict.reason == "the layer cannot be told from the zero predictor, which knows nothing"
        else:
            assert verdict.verdict == "supported"
            assert is_named_rightly(verdict, spec)


def linear_layer(seed: int) -> RegressionTransformer:
    cfg = TransformerConfig(dim=10, n_layers=1)
    return RegressionTransformer(cfg, LinearRegression(dim=10, n_points=11), seed=seed)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("seed", "n_twins"), [(0, 1), (1, 1), *(pytest.param(seed, 3, marks=pytest.mark.slow) for seed in range(12))]
)
def test_untrained_models_support_nothing(seed, n_twins):
    model = linear_layer(seed)
    twins = make_twins(model, count=n_twins)
    (verdict,) = judge_layers(match_layers(model, model.task.sample(128, seed=1), steps=[1, 2, 3, 5], twins=twins))
    assert verdict.verdict != "supported"


@pytest.mark.usefixtures("unchecked")
def test_a_trained_layer_is_named_gradient_descent(short_run):
    prompts = short_run.task.sample(128, seed=1)
    (verdict,) = judge_layers(match_layers(short_run, prompts, ["gd", "newton", "ridge"], steps=[1, 2, 3, 5]))
    assert (verdict.verdict, verdict.solver, verdict.step) == ("supported", "gd", 1)
    assert verdict.r2 > 0.98
    lr = float(verdict.hyperparameters.partition("lr=")[2].partition(",")[0])
    assert lr == pytest.approx(6.06, rel=0.05)


@pytest.mark.parametrize("spec", ["gd:steps=2", "newton:steps=2"])
def test_induced_weights_name_constructions_too(spec):
    """The cosine of weights ignores scale, so a first step of any size has the direction of X^T y."""
    model, prompts = noisy(spec, 5, n_prompts=64)
    table = match_layers(model, prompts, ["gd", "newton"], steps=STEPS, measure="weights", controls=[])
    last = judge_layers(table)[-1]
    assert (last.solver, last.step) == (spec.partition(":")[0], 2)
    assert last.similarity > 0.999


@pytest.fixture(scope="module")
def example():
    """A model, prompts with many queries each, and its table for solvers that leave nothing to fit."""
    model = interp.load("gd:steps=2,noise_std=0.5")
    prompts = model.task.sample(40, seed=3, n_queries=16)
    return model, prompts, match_layers(model, prompts, [GradientDescent(lr=2.0), "ols"], steps=[0, 1, 4], controls=[])


def test_there_is_one_row_per_layer_solver_and_step_and_one_best_step_per_layer_and_solver(example):
    _, _, table = example
    expected = {("gd", step) for step in (0, 1, 4)} | {("ols", step) for step in (0, 1, 4)} | {("zero", 1), ("mean", 1)}
    for layer in (0, 1, 2):
        rows = table[table["layer"] == layer]
        assert set(zip(rows["solver"], rows["step"], strict=True)) == expected
        assert len(rows) == len(expected)
        assert (rows[rows["best"]].groupby("solver").size() == 1).all()


def test_similarities_are_means_over_the_second_half_of_the_prompts(example):
    model, prompts, table = example
    half = prompts[20:]
    predictions = native_predictions(model, layer_states(model, half))
    iterates = make_solver("gd", lr=2.0).predict(Regressions.of(half), [0, 1, 4])
    expected = similarity_of_errors(predictions, iterates, half.ys[:, half.n_examples :].double()).mean(-1)
    for layer in (0, 1, 2):
        rows = table[(table["layer"] == layer) & (table["solver"] == "gd")]
        np.testing.assert_allclose(rows["similarity"], expected[layer], rtol=1e-10)
        assert (rows["ci_low"] <= rows["similarity"]).all()
        assert (rows["similarity"] <= rows["ci_high"]).all()


def test_r2_is_between_the_solvers_predictions_and_the_layers(example):
    model, prompts, table = example
    half = prompts[20:]
    answers = native_predictions(model, layer_states(model, half))
    iterates = make_solver("gd", lr=2.0).predict(Regressions.of(half), [0, 1, 4])
    for layer in (1, 2):
        spread = (answers[layer] - answers[layer].mean()).square().sum()
        expected = 1 - (answers[layer] - iterates).square().sum((1, 2)) / spread
        rows = table[(table["layer"] == layer) & (table["solver"] == "gd")]
        np.testing.assert_allclose(rows["r2"], expected, rtol=1e-9)
    assert table[table["layer"] == 0]["r2"].isna().all()  # the embedding always answers 0


def test_skill_is_the_share_of_the_way_from_the_best_null_predictor_to_1(example):
    _, _, table = example
    for layer in (1, 2):
        rows = table[table["layer"] == layer]
        null = rows[rows["solver"].isin(["zero", "mean"])]["similarity"].max()
        np.testing.assert_allclose(rows["skill"], (rows["similarity"] - null) / (1 - null), rtol=1e-9)


def test_intervals_resample_the_prompts_of_an_algorithm_and_of_the_null_predictors_together(example):
    model, prompts, table = example
    half = prompts[20:]
    answers, targets = native_predictions(model, layer_states(model, half)), half.ys[:, half.n_examples :].double()
    problems, weights = Regressions.of(half), resampling_weights(20)
    by_prompt = {
        name: similarity_of_errors(answers, make_solver(name).predict(problems, [1]), targets)[:, 0].numpy()
        for name in ("ols", "zero", "mean")
    }
    for layer in (1, 2):
        ols, zero, mean = (weights @ by_prompt[name][layer] for name in ("ols", "zero", "mean"))
        null = np.maximum(zero, mean)
        row = table[(table["layer"] == layer) & (table["solver"] == "ols") & (table["step"] == 1)].iloc[0]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(np.percentile(ols, [2.5, 97.5])))
        skills = np.percentile((ols - null) / (1 - null), [2.5, 97.5])
        assert (row["skill_low"], row["skill_high"]) == pytest.approx(tuple(skills))


def test_the_step_kept_is_the_best_on_the_first_half(example):
    model, prompts, table = example
    half = prompts[:20]
    predictions = native_predictions(model, layer_states(model, half))
    iterates = make_solver("gd", lr=2.0).predict(Regressions.of(half), [0, 1, 4])
    chosen = similarity_of_errors(predictions, iterates, half.ys[:, half.n_examples :].double()).mean(-1).argmax(1)
    for layer, index in enumerate(chosen.tolist()):
        (kept,) = table[table["best"] & (table["layer"] == layer) & (table["solver"] == "gd")]["step"]
        assert kept == [0, 1, 4][index]


def test_the_embedding_predicts_0_and_is_one_with_the_zero_predictor(example):
    _, _, table = example
    row = table[(table["layer"] == 0) & (table["solver"] == "zero")].iloc[0]
    assert (row["similarity"], row["skill"]) == (1, 0)


def test_families_whose_answers_are_the_same_are_said_to_coincide():
    model, prompts = noisy("gd:steps=1", 5, n_prompts=64)
    table = match_layers(model, prompts, ["gd:lr=2.0", "gd++:lr=0.2", "ols"], steps=[1], controls=[])
    rows = best_rows(table, 1).set_index("solver")
    assert (rows.loc["gd", "coincides"], rows.loc["gd++", "coincides"]) == ("gd++", "gd")
    assert rows.loc["ols", "coincides"] == ""


def poisoned(prompts: Prompts, part: slice) -> Prompts:
    """The same prompts with everything in one part replaced by other prompts of the same law."""
    other = LinearRegression(dim=prompts.dim, n_points=prompts.n_examples + 1, noise_std=3.0).sample(
        len(prompts), seed=77, n_queries=prompts.n_queries
    )
    fields = {name: getattr(prompts, name).clone() for name in ("xs", "ys", "w")}
    for name, values in fields.items():
        values[part] = getattr(other, name)[part]
    return Prompts(**fields, n_queries=prompts.n_queries)


@pytest.mark.parametrize("readout", ["native", "refitted"])
def test_the_second_half_chooses_neither_steps_nor_hyperparameters(readout):
    model = interp.load("gd:steps=2,noise_std=0.5")
    prompts = model.task.sample(60, seed=3, n_queries=16)
    tables = [
        match_layers(model, p, ["gd", "ridge"], steps=[1, 2, 3], controls=[], readout=readout)
        for p in (prompts, poisoned(prompts, slice(30, None)))
    ]
    chosen = ["layer", "solver", "step", "best", "hyperparameters"]
    assert_frame_equal(tables[0][chosen], tables[1][chosen])
    assert (tables[0]["similarity"] - tables[1]["similarity"]).abs().max() > 0.01


def test_the_first_half_enters_no_estimate():
    """With nothing to fit and the model's own readout, what remains for the first half is the choice of the step."""
    model = interp.load("gd:steps=2,noise_std=0.5")
    prompts = model.task.sample(60, seed=3, n_queries=16)
    tables = [
        match_layers(model, p, ["gd:lr=2.0", "ridge:alpha=0.5"], steps=[1, 2, 3], controls=[])
        for p in (prompts, poisoned(prompts, slice(0, 30)))
    ]
    estimates = ["similarity", "ci_low", "ci_high", "r2", "r2_low", "r2_high", "skill", "skill_low", "skill_high"]
    assert_frame_equal(tables[0][estimates], tables[1][estimates])


def test_the_same_call_gives_the_same_table():
    model, prompts = noisy("gd:steps=1", 3, n_prompts=16)
    first, second = (match_layers(model, prompts, ["ridge"]) for _ in range(2))
    assert_frame_equal(first, second)


def test_both_measures_at_once_are_those_measures_one_at_a_time():
    model, prompts = noisy("gd:steps=2", 3, n_prompts=32)
    options: dict[str, Any] = {"solvers": ["gd", "newton"], "steps": [1, 2], "controls": []}
    both = match_measures(model, prompts, **options).tables
    assert list(both) == ["errors", "weights"]
    for measure, table in both.items():
        assert_frame_equal(table, match_layers(model, prompts, measure=measure, **options))


def test_every_control_has_its_similarity_and_skill_beside_every_row():
    model, prompts = noisy("gd:steps=1", 3, n_prompts=32)
    table = match_layers(model, prompts, ["gd:lr=4.0"], steps=[1, 2])
    for control in ("random_init", "shuffled_targets"):
        columns = [f"{control}{suffix}" for suffix in ("", "_skill", "_skill_low", "_skill_high")]
        assert table[columns].notna().all(axis=None)
        rows = best_rows(table, 1)
        gd = rows[rows["solver"] == "gd"].iloc[0]
        assert gd[control] < gd["similarity"]
        assert gd[f"{control}_skill_high"] < gd["skill_low"]


def test_a_model_is_its_own_equal_among_the_twins():
    """The control runs through the very same pipeline: the subject as its own twin gets its own numbers."""
    model, prompts = noisy("gd:steps=2", 3, n_prompts=32)
    table = match_layers(model, prompts, ["gd", "ridge"], steps=[1, 2], controls=["random_init"], twins=[model])
    rows = table[table["best"]]
    for ours, theirs in [
        ("similarity", ""),
        ("skill", "_skill"),
        ("skill_low", "_skill_low"),
        ("skill_high", "_skill_high"),
    ]:
        np.testing.assert_allclose(rows[ours], rows[f"random_init{theirs}"], rtol=1e-9, atol=1e-12)


def test_several_twins_count_by_their_mean_and_by_the_outermost_ends_of_their_intervals():
    model, prompts = noisy("gd:steps=2", 3, n_prompts=32)
    twins = make_twins(model, count=2)
    first, second, both = (
        match_layers(model, prompts, ["gd:lr=2.0", "ols"], steps=[1, 2], controls=["random_init"], twins=some)
        for some in (twins[:1], twins[1:], twins)
    )
    combinations: list[tuple[str, Callable[..., np.ndarray]]] = [
        ("", np.mean),
        ("_skill", np.mean),
        ("_skill_low", np.max),
        ("_skill_high", np.max),
    ]
    for column, combine in combinations:
        name = f"random_init{column}"
        np.testing.assert_allclose(both[name], combine([first[name], second[name]], axis=0), rtol=1e-9, atol=1e-12)


CAUSAL = {**FULL, "layout": INTERLEAVED, "causal": True}


@pytest.mark.parametrize("first_point", [0, 1, 2])
def test_an_interleaved_causal_model_is_compared_over_its_points_from_the_first_on(first_point):
    model = tiny_model(**CAUSAL)
    prompts = model.task.sample(12, seed=2).to(dtype=torch.float64)
    table = match_layers(
        model, prompts, ["gd:lr=1.0"], steps=[1, 3], controls=[], readout="native", first_point=first_point
    )
    half = prompts[6:]
    kept = slice(first_point, None)
    iterates = make_solver("gd", lr=1.0).run(half.xs, half.ys, [1, 3]).predictions[..., kept]
    predictions = native_predictions(model, layer_states(model, half))[..., kept]
    expected = similarity_of_errors(predictions, iterates, half.ys[:, kept]).mean(-1)
    for layer in range(3):
        rows = table[(table["layer"] == layer) & (table["solver"] == "gd")]
        np.testing.assert_allclose(rows["similarity"], expected[layer], rtol=1e-9)


def test_the_similarity_of_weights_of_a_causal_model_runs_over_its_prefixes():
    model = tiny_model(**CAUSAL)
    prompts = model.task.sample(8, seed=2).to(dtype=torch.float64)
    table = match_layers(model, prompts, ["gd:lr=1.0"], steps=[1, 3], controls=[], readout="native", measure="weights")
    half = prompts[4:]
    weights = make_solver("gd", lr=1.0).run(half.xs, half.ys, [1, 3]).weights
    expected = similarity_of_weights(sensitivities(model, half)[:, :, 1:], weights[:, :, 1:]).mean(-1)
    for layer in range(3):
        rows = table[(table["layer"] == layer) & (table["solver"] == "gd")]
        np.testing.assert_allclose(rows["similarity"], expected[layer], rtol=1e-9, atol=1e-12)


def test_gradient_descent_is_tried_with_both_normalisations_where_prefixes_differ():
    model = tiny_model(**CAUSAL)
    table = match_layers(model, model.task.sample(8), ["gd"], steps=[1, 2], controls=[])
    (hyperparameters,) = set(table[table["solver"] == "gd"]["hyperparameters"])
    assert "normalize=" in hyperparameters


# A researcher's own model


@pytest.fixture(scope="module")
def theirs():
    return TheirModel(n_layers=2, eta=0.3)


def test_a_researchers_own_module_follows_the_protocol(theirs):
    assert isinstance(theirs, HookedRegressor)
    prompts = theirs.task.sample(5)
    expected = make_solver("gd", lr=0.3, normalize="sum").predict(Regressions.of(prompts), [2])[0]
    np.testing.assert_allclose(theirs(theirs.tokens(prompts)).detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_researchers_own_module_is_matched_by_refitted_readouts_and_twins_of_its_own():
    """A refitted readout finds the step whatever its size: it scales the prediction to fit y best."""
    model = TheirModel(n_layers=1, eta=0.3)
    twins = [TheirModel(n_layers=1, eta=0.0, seed=seed, random=True) for seed in (1, 2)]
    prompts = model.task.sample(1024, seed=1)
    (verdict,) = judge_layers(match_layers(model, prompts, ["gd", "ridge"], steps=[1, 2, 3], twins=twins))
    assert (verdict.solver, verdict.step, verdict.verdict) == ("gd", 1, "supported")
    # 512 hidden weight vectors place the readout's coefficients on x within 512^(-1/2) = 4 % of 0.
    assert verdict.similarity > 0.98


def test_a_layer_that_knows_nothing_does_not_choose_the_hyperparameters_of_those_that_do():
    """Before any step a refitted readout predicts next to nothing, and every algorithm worth its name does worse."""
    model = TheirModel(n_layers=1, eta=0.3)
    table = match_layers(model, model.task.sample(1024, seed=1), ["gd"], steps=[1], controls=[])
    row = best_rows(table, 1).set_index("solver").loc["gd"]
    lr = float(row["hyperparameters"].partition("lr=")[2].partition(",")[0])
    best = tune("gd", model.task.sample(1024, seed=2, n_queries=32)).solver
    assert isinstance(best, GradientDescent)
    assert lr == pytest.approx(best.lr, rel=0.1)


def test_refitted_readouts_are_the_default_where_no_coordinate_holds_the_prediction(theirs):
    prompts = theirs.task.sample(16, seed=1)
    options: dict[str, Any] = {"solvers": ["gd:lr=1.0"], "steps": [1], "controls": []}
    assert_frame_equal(
        match_layers(theirs, prompts, **options), match_layers(theirs, prompts, readout="refitted", **options)
    )


def test_states_of_a_module_that_asks_one_query_at_a_time_are_gathered_query_by_query(theirs):
    prompts = theirs.task.sample(3, n_queries=4)
    states = layer_states(theirs, prompts)
    assert states.shape == (3, 3, 4, 4)
    alone = layer_states(theirs, prompts.one_query_each())
    assert torch.equal(states.flatten(1, 2), alone[:, :, 0])


def test_states_do_not_depend_on_the_batch_size():
    model = interp.load("gd:steps=2")
    prompts = model.task.sample(7, n_queries=3)
    torch.testing.assert_close(layer_states(model, prompts, batch_size=2), layer_states(model, prompts))


def test_a_module_without_decode_has_no_native_readout(theirs):
    with raises_exactly(
        ValueError,
        "TheirModel has no method decode(resid), which the native readout needs; add one, or use readout='refitted'.",
    ):
        match_layers(theirs, theirs.task.sample(8), ["gd"], controls=[], readout="native")


def test_a_module_without_twins_needs_them_or_goes_without_the_control(theirs):
    with raises_exactly(
        ValueError,
        "TheirModel has no method untrained_twin(seed), which the random_init control needs; "
        "add one, pass untrained models as `twins`, or leave the control out (no claim can be supported without it).",
    ):
        match_layers(theirs, theirs.task.sample(8), ["gd"])


def test_tokens_that_belong_to_no_point_are_refused(theirs, monkeypatch):
    padded = type(theirs).tokens
    monkeypatch.setattr(
        type(theirs), "tokens", lambda self, prompts: torch.cat([padded(self, prompts)[:, :1]] * 9, dim=1)
    )
    with raises_exactly(
        ValueError,
        "Cannot tell which of the model's 9 tokens belong to which of 7 points; "
        "give the model a method prediction_positions(n_pos, n_queries).",
    ):
        match_layers(theirs, theirs.task.sample(8), ["gd"], controls=[])


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"controls": ["placebo"]}, "Unknown control(s) placebo; known are random_init, shuffled_targets."),
        (
            {"solvers": ["newtn"]},
            f"Unknown solver 'newtn'; known are {', '.join(sorted(SOLVERS))}. Did you mean 'newton'?",
        ),
        (
            {"solvers": ["gd:rate=1"]},
            "Unknown hyperparameter of solver 'gd' 'rate'; known are lr, normalize.",
        ),
        ({"steps": [-1]}, "`steps` needs at least one step count, each a whole number from 0 up; got [-1]."),
        ({"steps": []}, "`steps` needs at least one step count, each a whole number from 0 up; got []."),
        ({"n_queries": 0}, "`n_queries` must be at least 1 query per context, got 0."),
        ({"first_point": -1}, "`first_point` is the number of examples to begin at, from 0 up; got -1."),
        (
            {"weight_prompts": -3},
            "`weight_prompts` needs 0 (for all) or at least 2 prompts of each half, got -3: an interval takes two.",
        ),
        (
            {"weight_prompts": 1},
            "`weight_prompts` needs 0 (for all) or at least 2 prompts of each half, got 1: an interval takes two.",
        ),
        (
            {"n_queries": 1},
            "A cosine of errors over 1 column(s) is only a sign; ask more queries (n_queries) or use longer prompts.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_matched_is_refused(options, message):
    model = interp.load("gd:steps=1")
    with raises_exactly(ValueError, message):
        match_layers(model, model.task.sample(8), **options)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_measure_is_refused():
    """As where nobody checks types."""
    model = interp.load("gd:steps=1")
    options: dict[str, Any] = {"measure": "answers"}
    with raises_exactly(ValueError, "Unknown measure(s) answers; known are errors, weights, response."):
        match_layers(model, model.task.sample(8), **options)


def test_prompts_of_another_dim_are_refused():
    with raises_exactly(
        ValueError,
        "The prompts have inputs of dim 3, the model was trained on dim 5; sample them with model.task.sample.",
    ):
        match_layers(interp.load("gd:steps=1"), LinearRegression(dim=3).sample(8))


def test_a_match_needs_four_prompts():
    model = interp.load("gd:steps=1")
    with raises_exactly(
        ValueError,
        "A split into a selection and an estimation half needs at least 4 prompts, got 3. Sample more prompts.",
    ):
        match_layers(model, model.task.sample(3))


def test_a_table_is_tidy(example):
    _, _, table = example
    assert isinstance(table, pd.DataFrame)
    assert list(table["layer"]) == sorted(table["layer"])
    assert list(table.index) == list(range(len(table)))
