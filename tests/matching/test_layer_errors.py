"""Errors by layer, against readouts made by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

import interp
from interp.matching import layer_errors, layer_predictions, layer_states, native_predictions
from interp.models.build import build_model
from interp.solvers import make_solver
from interp.training import get_recipe
from probes import bootstrap_mean
from probes.ridge import RELATIVE_GRID
from tests.matching.models import TheirModel


@pytest.fixture(scope="module")
def transformer():
    recipe = get_recipe("garg-tiny-width8")
    return build_model(recipe.model, recipe.task, seed=1)


def ridge_by_hand(states, targets, fresh):
    """Predictions on fresh states of ridge regression, its penalty the best on the last quarter of prompts."""
    cut = round(0.75 * len(states))
    (fit_x, held_x), (fit_y, held_y) = (
        (part[:cut].reshape(-1, *part.shape[2:]), part[cut:].reshape(-1, *part.shape[2:])) for part in (states, targets)
    )
    centred = fit_x - fit_x.mean(0)
    scale = np.trace(centred.T @ centred) / fit_x.shape[1]
    readouts = [Ridge(alpha=float(a) * scale, solver="svd").fit(fit_x, fit_y) for a in RELATIVE_GRID]
    best = min(readouts, key=lambda readout: ((readout.predict(held_x) - held_y) ** 2).mean())
    return best.predict(fresh.reshape(-1, fresh.shape[-1])).reshape(fresh.shape[:-1])


def test_a_refitted_readout_is_ridge_regression_on_the_first_half_and_judged_on_the_second(transformer):
    prompts = transformer.task.sample(64, seed=0)
    fitted, judged = prompts.halves()
    table = layer_errors(transformer, prompts)
    assert list(table.columns) == ["layer", "n_examples", "error", "ci_low", "ci_high"]
    assert len(table) == 9 * 16
    before, after = (layer_states(transformer, part).double().numpy() for part in (fitted, judged))
    for layer in (0, 3, 8):
        predicted = ridge_by_hand(before[layer][:, 1:], fitted.ys[:, 1:].double().numpy(), after[layer])
        expected = (predicted - judged.ys.double().numpy()) ** 2
        rows = table[table["layer"] == layer]
        assert rows["n_examples"].tolist() == list(range(16))
        np.testing.assert_allclose(rows["error"], expected.mean(0), rtol=1e-5)
        interval = bootstrap_mean(expected[:, 10])
        row = rows[rows["n_examples"] == 10].iloc[0]
        np.testing.assert_allclose([row["ci_low"], row["ci_high"]], [interval.low, interval.high], rtol=1e-5)


def test_a_native_readout_is_the_models_own_and_newtons_construction_errs_as_newton(transformer):
    model = interp.load("newton:steps=3,dim=3")
    prompts = model.task.sample(32, seed=0)
    found = layer_predictions(model, prompts)
    assert set(found.n_examples) == {6} and found.values.shape == (6, 16, 32)
    asked = model.task.requery(prompts, 32, 0).halves()[1]
    torch.testing.assert_close(found.values, native_predictions(model, layer_states(model, asked)))
    table = layer_errors(model, prompts)
    assert table["error"].tolist() == pytest.approx(found.squared_errors().mean((1, 2)))
    assert np.diff(table["error"])[2:].max() < 0  # every step helps


def test_where_no_coordinate_holds_the_prediction_a_refitted_readout_does_no_worse_than_the_one_that_reads_it():
    model = TheirModel(n_layers=3, eta=0.1)
    found = layer_predictions(model, model.task.sample(400, seed=0), readout="refitted")
    descent = make_solver("gd", lr=0.1, normalize="sum").predict(found.problems, range(4))
    refitted, theirs = (found.squared_errors(values).mean((1, 2)) for values in (found.values, descent))
    assert refitted[0] == pytest.approx(theirs[0], rel=0.05)  # the embedding of a query knows no answer
    assert (refitted[1:] < theirs[1:]).all()


def test_zero_errs_by_the_square_of_the_answer(transformer):
    found = layer_predictions(transformer, transformer.task.sample(16, seed=0))
    np.testing.assert_allclose(found.zero().squared_errors()[0], found.problems.targets**2)


def test_a_native_readout_can_be_asked_for_where_it_is_not_the_default(transformer):
    prompts = transformer.task.sample(16, seed=0)
    own = layer_predictions(transformer, prompts, readout="native")
    answers = transformer(transformer.tokens(prompts.halves()[1]))
    torch.testing.assert_close(own.values[-1].float(), answers)


def test_too_few_prompts_for_two_halves_are_refused(transformer):
    with pytest.raises(ValueError, match="give at least 8, not 6"):
        layer_errors(transformer, transformer.task.sample(6, seed=0))
