"""Out of distribution."""

import math
from dataclasses import replace

import pytest
import torch

import interp
from interp.matching import compare_under_shift, shifts_of
from interp.matching.readouts import model_answers, problems_of
from interp.matching.shifts import LAWS, average_under_shift, losses_under_shift
from interp.models import TransformerConfig, descent_twin
from interp.models.transformer import RegressionTransformer
from interp.solvers import Regressions, make_solver, tune
from interp.tasks import LinearRegression, SineWaves, TokenLayout, garg_shifts
from tests.errors import raises_exactly

ETA, GAMMA = 0.3, 0.1


@pytest.fixture(scope="module")
def models():
    """An untrained model, two steps of GD and two of GD++, on one task."""
    model = interp.load("untrained:gd:steps=2,dim=3,seed=1")
    return {"model": model, **{n: descent_twin(model, [ETA] * 2, [g] * 2) for n, g in (("gd", 0.0), ("gd++", GAMMA))}}


@pytest.fixture(scope="module")
def table(models):
    return compare_under_shift(models, shifts_of(models["model"].task), n_prompts=64, seed=5)


def loss_at(table, shift, value, predictor) -> float:
    (loss,) = table[(table["shift"] == shift) & (table["value"] == value) & (table["predictor"] == predictor)]["loss"]
    return float(loss)


def test_the_shifts_begin_at_the_task_itself():
    task = LinearRegression(dim=3, n_points=6, input_scale=2.0, weight_scale=3.0)
    shifts = {(shift.kind, shift.value): shift.task for shift in shifts_of(task)}
    for where in (("input scale", 1.0), ("weight scale", 1.0), ("label noise", 0.0), ("distractors", 0.0)):
        assert shifts[where] == task
    assert shifts["input scale", 0.5] == replace(task, input_scale=1.0)
    assert shifts["weight scale", 5.0] == replace(task, weight_scale=15.0)
    assert max(shift.value for shift in shifts_of(task) if shift.kind == "distractors") == 5  # it has no more examples


@pytest.mark.parametrize("law", LAWS)
def test_contexts_of_another_law_are_as_long_as_the_tasks_own_are_on_average(law):
    task = LinearRegression(dim=3, n_points=6, input_scale=2.0)
    (shifted,) = (shift.task for shift in shifts_of(task) if shift.value == law)
    contexts = shifted.sample(16).xs[:, :-1]
    assert contexts.norm(dim=(1, 2)).tolist() == pytest.approx([math.sqrt(5 * 3 * task.input_variance)] * 16)
    assert shifted.input_variance == pytest.approx(task.input_variance)


def test_only_linear_regression_is_shifted():
    with raises_exactly(ValueError, "These shifts move the law of linear regression; the task is SineWaves."):
        shifts_of(SineWaves(n_points=5))


@pytest.mark.parametrize("kind", ["input scale", "weight scale"])
def test_a_scale_of_1_gives_the_losses_of_the_tasks_own_prompts(models, table, kind):
    for name, model in models.items():
        prompts = model.task.sample(64, seed=5)
        errors = model_answers(model, prompts) - problems_of(model, prompts).targets
        assert loss_at(table, kind, 1.0, name) == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-6)


def test_a_twins_losses_are_its_algorithms(models, table):
    solvers = {"gd": make_solver("gd", lr=ETA, normalize="sum"), "gd++": make_solver("gd++", lr=ETA, gamma=GAMMA)}
    for shift in shifts_of(models["gd"].task):
        problems = Regressions.of(shift.task.sample(64, seed=5))
        for name, solver in solvers.items():
            errors = solver.predict(problems, [2])[0] - problems.targets
            expected = 0.5 * errors.square().mean().item()
            assert loss_at(table, shift.kind, shift.value, name) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["gd", "gd++"])
@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_the_loss_of_a_predictor_linear_in_y_grows_with_the_square_of_the_weights(table, name, scale):
    expected = scale**2 * loss_at(table, "weight scale", 1.0, name)
    assert loss_at(table, "weight scale", scale, name) == pytest.approx(expected, rel=1e-5)


def test_the_table_has_every_predictor_under_every_shift(models, table):
    shifts = shifts_of(models["model"].task)
    assert len(table) == len(shifts) * len(models)
    assert list(table.columns) == ["shift", "value", "predictor", "loss", "ci_low", "ci_high"]
    assert ((table["ci_low"] <= table["loss"]) & (table["loss"] <= table["ci_high"])).all()


def test_the_table_averages_the_losses_of_the_prompts(models, table):
    shifts = shifts_of(models["model"].task)
    losses = losses_under_shift(models, shifts, n_prompts=64, seed=5)
    assert {values.shape for values in losses.values()} == {(len(shifts), 64)}
    assert average_under_shift(losses, shifts).equals(table)


GAUSSIAN = LinearRegression(dim=3, n_points=7, inputs="gaussian", input_scale=2.0)


def test_gaussian_inputs_have_the_shifts_of_garg_each_kind_with_the_task_itself():
    shifts = shifts_of(GAUSSIAN)
    assert {shift.task for shift in shifts} == set(garg_shifts(GAUSSIAN).values())
    for kind in ("input scale", "weight scale", "inputs", "query", "label noise"):
        assert GAUSSIAN in [shift.task for shift in shifts if shift.kind == kind]
    by_value = {(shift.kind, shift.value): shift.task for shift in shifts}
    assert len(by_value) == len(shifts) == 19
    for value in (1 / 3, 1 / 2, 2.0, 3.0):
        assert by_value["input scale", value] == replace(GAUSSIAN, input_scale=2 * value)
        assert by_value["weight scale", value] == replace(GAUSSIAN, weight_scale=value)
    assert by_value["query", "orthogonal"].query == "orthogonal"
    assert by_value["inputs", "subspace"].subspace == 1
    assert by_value["label noise", 1.0].noise_std == 1


def test_a_task_whose_noise_is_the_shifts_own_has_it_once():
    noisy = [shift for shift in shifts_of(replace(GAUSSIAN, noise_std=1.0)) if shift.kind == "label noise"]
    assert [(shift.value, shift.task.noise_std) for shift in noisy] == [(1, 1)]


@pytest.fixture(scope="module")
def interleaved():
    """An untrained model that predicts at every point."""
    cfg = TransformerConfig(
        dim=3,
        n_layers=2,
        n_heads=2,
        width=8,
        attention="softmax",
        causal=True,
        query_in_context=True,
        layout=TokenLayout(kind="interleaved", y_position="first", y_slot="shared"),
        positions="learned",
        n_ctx=14,
        read_in="linear",
        readout="linear",
        init_variance=1.0,
    )
    return RegressionTransformer(cfg, GAUSSIAN, seed=0)


def test_a_model_that_predicts_at_every_point_is_judged_at_the_last_one(interleaved):
    shifts = shifts_of(GAUSSIAN)
    losses = losses_under_shift({"model": interleaved}, shifts, n_prompts=8, seed=5)["model"]
    for shift, found in zip(shifts, losses, strict=True):
        prompts = shift.task.sample(8, seed=5)
        with torch.no_grad():
            error = interleaved(interleaved.tokens(prompts))[:, -1] - prompts.ys[:, -1]
        assert found.tolist() == pytest.approx((0.5 * error.square()).tolist(), rel=1e-4)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_a_solver_may_be_asked_beside_a_model(interleaved, n_steps):
    solvers = {name: tune(name, GAUSSIAN.sample(64), n_steps) for name in ("ols", "gd")}
    shifts = shifts_of(GAUSSIAN)
    losses = losses_under_shift({"model": interleaved, **solvers}, shifts, n_prompts=16, seed=5)
    for name, tuned in solvers.items():
        for shift, found in zip(shifts, losses[name], strict=True):
            prompts = shift.task.sample(16, seed=5)
            last = tuned.solver.run(prompts.xs, prompts.ys, [n_steps]).predictions[0, :, -1]
            assert found.tolist() == pytest.approx(
                (0.5 * (last - prompts.ys[:, -1]).square()).tolist(), rel=1e-6, abs=1e-9
            )


def test_least_squares_is_exact_under_all_shifts_of_garg_but_two():
    """It answers 0 to an orthogonal query, and noise it cannot know."""
    shifts = shifts_of(GAUSSIAN)
    table = compare_under_shift({"ols": tune("ols", GAUSSIAN.sample(64))}, shifts, n_prompts=64, seed=0)
    wrong = {(row["shift"], row["value"]) for row in table[table["loss"] > 1e-3].to_dict("records")}
    assert wrong == {("query", "orthogonal"), ("label noise", 1.0)}
