"""Steps that err as much as a layer does: counted where the layer is a solver's iterate, interpolated elsewhere."""

import numpy as np
import pytest

import interp
from interp.matching import equal_error_steps
from interp.matching.layer_errors import LayerPredictions, layer_predictions
from interp.models import RegressionModel
from interp.solvers import Newton, make_solver

GRID = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


@pytest.fixture(scope="module")
def newton() -> RegressionModel:
    return interp.load("newton:steps=6,alpha=0.015625,dim=3").double()


def of(model: RegressionModel, n_prompts: int = 64) -> LayerPredictions:
    return layer_predictions(model, model.task.sample(n_prompts, seed=1))


def test_the_layers_of_the_newton_construction_err_as_newtons_steps_and_grow_by_one(newton):
    solver = Newton(scale="constant", alpha=1 / 64)
    table, law = equal_error_steps(of(newton), solver, tuple(range(12)), first_column=0)
    assert table["steps"].to_list() == pytest.approx([0, 0, 0, 1, 2, 3, 4, 5, 6], abs=1e-6)
    assert (table["steps_low"] <= table["steps"] + 1e-9).all()
    assert law.law == "linear"
    assert law.per_layer.estimate == pytest.approx(1, abs=1e-6)


def test_the_order_of_steps_does_not_matter(newton):
    solver = Newton(scale="constant", alpha=1 / 64)
    layers = of(newton)
    (straight, _), (shuffled, _) = (
        equal_error_steps(layers, solver, steps, 0) for steps in ((0, 1, 2, 8), (8, 2, 0, 1))
    )
    assert straight.equals(shuffled)


def test_a_gd_model_takes_steps_of_gd_and_a_step_between_two_is_interpolated():
    model = interp.load("gd:steps=5,lr=1.25,dim=3").double()
    layers = of(model)
    table, _ = equal_error_steps(layers, make_solver("gd", lr=1.25), (0, 2, 4, 8), first_column=0)
    counted, between = table["steps"].to_numpy()[[0, 2, 4]], table["steps"].to_numpy()[[1, 3, 5]]
    np.testing.assert_allclose(counted, [0, 2, 4], atol=1e-6)
    assert ((between > [0, 2, 4]) & (between < [2, 4, 8])).all()
    np.testing.assert_allclose(between, [1, 3, 5], atol=0.25)  # errors fall almost geometrically


def test_a_layer_that_errs_less_than_the_solver_ever_does_has_no_step_count(newton):
    table, law = equal_error_steps(of(newton), make_solver("gd", lr=1e-3), (1, 2, 4), first_column=0)
    assert np.isinf(table["steps"].iloc[-1])
    assert np.isinf(table[["steps_low", "steps_high"]].iloc[-1]).all()
    assert law.law == "undecided"


def test_a_layer_that_errs_more_than_the_first_step_has_that_many(newton):
    table, _ = equal_error_steps(of(newton), make_solver("ols"), (1,), first_column=0)
    assert (table["steps"] == 1).all()


def test_the_order_of_convergence_is_that_of_the_errors():
    model = interp.load("gd:steps=3,lr=1.25,dim=2").double()
    table, _ = equal_error_steps(of(model), make_solver("gd", lr=1.25), GRID, first_column=0)
    error, order = table["error"].to_numpy(), table["order"].to_numpy()
    assert np.isnan(order[[0, -1]]).all()
    expected = np.log(error[2:] / error[1:-1]) / np.log(error[1:-1] / error[:-2])
    np.testing.assert_allclose(order[1:-1], expected)
