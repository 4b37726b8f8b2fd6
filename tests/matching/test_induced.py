from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import interp
from interp.matching import align, fitted_weights, sensitivities
from interp.models import RegressionTransformer
from interp.solvers import AbstractSolver, Newton, Regressions, make_solver
from interp.tasks import Prompts
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

# Weights that single precision holds exactly, so that double precision shows a dozen digits: eta/n is 1/8.
CONSTRUCTIONS = {
    "gd:steps=3,lr=1.25": (make_solver("gd", lr=1.25), 0),
    "gd++:steps=2,lr=0.125,gamma=0.015625": (make_solver("gd++", lr=1 / 8, gamma=1 / 64), 0),
    "newton:steps=3,alpha=0.015625": (Newton(scale="constant", alpha=1 / 64), 2),
}
every_construction = pytest.mark.parametrize(
    ("spec", "solver", "lead"), [(spec, *rest) for spec, rest in CONSTRUCTIONS.items()], ids=CONSTRUCTIONS.keys()
)


def solver_weights(solver: AbstractSolver, prompts: Prompts, steps: Sequence[int]) -> torch.Tensor:
    """[step prompt dim], of the whole context."""
    return solver.trace(Regressions.of(prompts), steps).weights[:, :, 0]


@every_construction
@pytest.mark.parametrize("noise_std", [0.0, 0.5])
def test_the_sensitivities_of_a_construction_are_its_solvers_weights(spec, solver, lead, noise_std):
    model = interp.load(f"{spec},noise_std={noise_std}").double()
    prompts = model.task.sample(6, seed=1, n_queries=3).to(dtype=torch.float64)
    found = sensitivities(model, prompts)
    assert not found[: max(lead, 1)].any()  # what has taken no step asks nothing of the query
    weights = solver_weights(solver, prompts, range(model.cfg.n_layers - lead + 1))
    for step, expected in enumerate(weights):
        for query in range(3):
            assert_close(found[lead + step, :, query], expected, rtol=1e-10, atol=1e-12)


@every_construction
def test_weights_fitted_to_a_constructions_answers_are_its_solvers_weights(spec, solver, lead):
    model = interp.load(spec).double()
    prompts = model.task.sample(6, seed=1)
    found = fitted_weights(model, prompts)
    weights = solver_weights(solver, prompts, range(model.cfg.n_layers - lead + 1))
    for step, expected in enumerate(weights):
        assert_close(found.weights[lead + step], expected, rtol=1e-9, atol=1e-11)
    answering = weights.norm(dim=(1, 2)) > 0
    assert_close(found.r2[lead:][answering], torch.ones(int(answering.sum()), dtype=torch.float64))


def test_a_layer_that_always_answers_0_has_no_linearity_to_speak_of():
    model = interp.load("gd:steps=1")
    assert fitted_weights(model, model.task.sample(4)).r2[0].isnan()


def test_the_r2_of_fitted_weights_tells_how_linear_the_answers_are():
    softmax = tiny_model(attention="softmax", mlp="gelu")
    linear_in_query = tiny_model(n_layers=1)
    prompts = softmax.task.sample(5)
    with torch.no_grad():
        for block in softmax.blocks:
            block.attn.W_Q.mul_(30)
    assert fitted_weights(softmax, prompts).r2[-1] < 0.99
    with torch.no_grad():
        linear_in_query.blocks[0].attn.W_O[..., :-1] = 0
        # y' = y + sum_j (q . k_j) v_j: bilinear, and linear in the query once its y entry (0) is all that is read
    assert_close(fitted_weights(linear_in_query, prompts).r2[-1].item(), 1.0, rtol=0, atol=1e-12)


def answers_of(model: RegressionTransformer, prompts: Prompts, xs: torch.Tensor) -> torch.Tensor:
    return model(model.tokens(replace(prompts, xs=xs)))


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "softmax", "mlp": "gelu"},
        {"attention": "softmax", "query_in_context": True},
        {**FULL, "layout": INTERLEAVED, "causal": True},
        {**FULL, "layout": INTERLEAVED},
    ],
    ids=["paired", "query-in-context", "interleaved-causal", "interleaved"],
)
def test_sensitivities_are_the_slopes_of_the_prediction_in_its_own_query(options):
    model = tiny_model(**options)
    prompts = model.task.sample(2).to(dtype=torch.float64)
    found = sensitivities(model, prompts)[-1]
    points = model.predicted_points
    step = 1e-5
    with torch.no_grad():
        for column, point in enumerate(points):
            for coordinate in range(4):
                nudge = torch.zeros_like(prompts.xs)
                nudge[:, point, coordinate] = step
                ahead, behind = (answers_of(model, prompts, prompts.xs + sign * nudge) for sign in (1, -1))
                slope = (ahead - behind)[:, column] / (2 * step)
                # Central differences are good to step squared and to rounding over step: 1e-10 of the predictions.
                assert_close(found[:, column, coordinate], slope, rtol=1e-6, atol=1e-8)


def test_sensitivities_of_many_queries_are_those_of_each_alone():
    for options in ({"attention": "softmax"}, {"attention": "softmax", "query_in_context": True}):
        model = tiny_model(**options)
        prompts = model.task.sample(3, n_queries=4).to(dtype=torch.float64)
        together = sensitivities(model, prompts)
        alone = sensitivities(model, prompts.one_query_each())
        assert_close(together.flatten(1, 2), alone[:, :, 0])


def test_sensitivities_leave_prompts_and_parameters_without_gradients():
    model = tiny_model()
    prompts = model.task.sample(2)
    sensitivities(model, prompts)
    assert not prompts.xs.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_fitted_weights_are_least_squares_on_the_answers_to_the_requeried_prompts():
    model = tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)
    prompts = model.task.sample(3).to(dtype=torch.float64)
    found = fitted_weights(model, prompts, n_queries=7, seed=5)
    asked = model.task.requery(prompts, 7, seed=5)
    with torch.no_grad():
        answers = model(model.tokens(asked.one_query_each()))[:, -1].view(3, 7)
    for p in range(3):
        expected, *_ = np.linalg.lstsq(asked.xs[p, asked.n_examples :].numpy(), answers[p].numpy(), rcond=None)
        np.testing.assert_allclose(found.weights[-1, p], expected, rtol=1e-8, atol=1e-10)


def test_fewer_queries_than_coordinates_determine_no_weights():
    model = tiny_model()
    with raises_exactly(ValueError, "3 queries do not determine 4 weights; ask at least 4."):
        fitted_weights(model, model.task.sample(4), n_queries=3)


@every_construction
def test_a_construction_is_aligned_with_its_own_solver(spec, solver, lead):
    model = interp.load(spec).double()
    prompts = model.task.sample(20, seed=2, n_queries=4).to(dtype=torch.float64)
    last = align(model, solver, prompts, steps=model.cfg.n_layers - lead)
    for interval, value in [(last.cosine, 1.0), (last.l2, 0.0), (last.prediction_difference, 0.0)]:
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((value,) * 3, abs=1e-10)


def test_an_alignment_measures_what_its_fields_say():
    """Against a step twice as long the direction is right and everything else is off by the model's own size."""
    model = interp.load("gd:steps=1,lr=1.25").double()
    prompts = model.task.sample(20, seed=2, n_queries=4)
    found = align(model, make_solver("gd", lr=2.5), prompts, steps=1)
    weights = solver_weights(make_solver("gd", lr=1.25), prompts, [1])[0]
    with torch.no_grad():
        predictions = model(model.tokens(prompts), n_queries=4)
    assert found.cosine.estimate == pytest.approx(1)
    assert found.l2.estimate == pytest.approx(weights.norm(dim=-1).mean().item())
    assert found.prediction_difference.estimate == pytest.approx(predictions.abs().mean().item())


def test_any_layer_can_be_aligned():
    model = interp.load("gd:steps=3,lr=1.25")
    prompts = model.task.sample(20, seed=2)
    for layer in (1, 2, 3):
        assert align(model, make_solver("gd", lr=1.25), prompts, layer, layer=layer).cosine.low > 1 - 1e-6
        wrong = align(model, make_solver("gd", lr=1.25), prompts, 4 - layer, layer=layer)
        assert (wrong.l2.estimate < 1e-5) == (layer == 2)


def test_points_without_examples_are_left_out_of_an_alignment():
    model = tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)
    prompts = model.task.sample(6).to(dtype=torch.float64)
    solver = make_solver("gd", lr=1.0)
    found = align(model, solver, prompts, steps=2)
    theirs = solver.run(prompts.xs, prompts.ys, [2]).predictions[0]
    with torch.no_grad():
        ours = model(model.tokens(prompts))
    assert found.prediction_difference.estimate == pytest.approx((ours - theirs).abs()[:, 1:].mean().item())
