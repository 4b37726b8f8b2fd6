"""What every solver promises. A new one is held to it the moment it is registered."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from torch.testing import assert_close

from interp import load
from interp._specs import parse_spec
from interp.matching import match_layers
from interp.solvers import (
    LBFGS,
    NULL_SOLVERS,
    SOLVERS,
    Chebyshev,
    HeavyBall,
    NearestNeighbours,
    OnlineGradientDescent,
    Regressions,
    Status,
    make_solver,
    tune,
)
from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly

ONE_SHOT = {"ols", "ridge", "lasso", "averaging", "knn", "zero", "mean"}
ORDERED = {"online-gd"}
"""Takes one example after the other: the last leaves the strongest trace."""
NOT_LINEAR_IN_THE_TARGETS = {
    "cg",  # its polynomial is the best for this y
    "bfgs",  # its estimate of the inverse follows from the steps taken
    "lbfgs",
    "lasso",  # which weights are 0 depends on y
}
NOT_HOMOGENEOUS_IN_THE_TARGETS = {
    "bfgs",  # its first step has a length of its own, in units of w
    "lbfgs",
    "lasso",  # |w|_1 and |y - X w|^2 scale differently
}
NOT_ROTATION_INVARIANT = {"lasso"}
"""Its penalty |w|_1 belongs to the coordinates."""
FREE = {
    "gd": {"lr"},
    "gd++": {"lr", "gamma"},
    "gradient-flow": {"lr"},
    "heavy-ball": {"lr", "momentum"},
    "nesterov": {"lr", "momentum"},
    "online-gd": {"lr"},
    "ridge": {"alpha"},
    "lasso": {"alpha"},
    "averaging": {"scale"},
}
"""Hyperparameters that a search may choose where the solver's others have their defaults."""
STARTS_ELSEWHERE = {"newton"}
"""Its start M_0 X^T y is an answer already."""
WEIGHTLESS = {
    "zero",  # its weights are 0 in truth
    "mean",  # the same answer to every query
    "knn",  # not linear in the query
}

every_solver = pytest.mark.parametrize("name", sorted(SOLVERS))


def every_solver_but(exceptions):
    return pytest.mark.parametrize("name", sorted(SOLVERS.keys() - exceptions))


def test_every_exception_is_a_solver():
    exceptions = NOT_LINEAR_IN_THE_TARGETS | NOT_HOMOGENEOUS_IN_THE_TARGETS | NOT_ROTATION_INVARIANT
    assert exceptions | ONE_SHOT | ORDERED | STARTS_ELSEWHERE | WEIGHTLESS <= SOLVERS.keys()


@every_solver_but(ORDERED)
def test_the_order_of_the_examples_does_not_matter(name, xs, ys):
    *seen, query = range(xs.shape[1])
    order = [*reversed(seen), query]
    solver = make_solver(name)
    straight, shuffled = solver.run(xs, ys, [3]), solver.run(xs[:, order], ys[:, order], [3])
    assert_close(straight.predictions[..., -1], shuffled.predictions[..., -1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", sorted(ORDERED))
def test_the_order_matters_to_a_solver_that_takes_one_example_after_the_other(name, xs, ys):
    *seen, query = range(xs.shape[1])
    order = [*reversed(seen), query]
    solver = make_solver(name)
    straight, shuffled = (solver.run(*data, [3]).predictions for data in ((xs, ys), (xs[:, order], ys[:, order])))
    assert (straight - shuffled)[..., -1].abs().max() > 1e-3


@every_solver
def test_nothing_is_predicted_before_the_first_example(name, xs, ys):
    predictions = make_solver(name).run(xs, ys, [0, 1, 3]).predictions
    assert not predictions[..., 0].any()


@every_solver
def test_without_any_examples_it_answers_0(name, xs, ys):
    trace = make_solver(name).trace(Regressions.of(Prompts(xs=xs, ys=ys), [0]), [0, 2])
    assert trace.predictions.shape == (2, 6, 1)
    assert not trace.predictions.any()
    assert not trace.weights.any()


@every_solver
def test_a_prediction_depends_on_nothing_that_comes_after_it(name, xs, ys):
    solver = make_solver(name)
    changed_xs, changed_ys = xs.clone(), ys.clone()
    changed_xs[:, 6:] += 5
    changed_ys[:, 5:] -= 3  # y_5 is the answer at point 5, not a clue
    before, after = solver.run(xs, ys, [3]), solver.run(changed_xs, changed_ys, [3])
    assert_close(before.predictions[..., :6], after.predictions[..., :6], rtol=1e-12, atol=1e-13)
    assert_close(before.weights[..., :6, :], after.weights[..., :6, :], rtol=1e-12, atol=1e-13)


@every_solver_but(WEIGHTLESS)
def test_predictions_are_those_of_the_weights(name, xs, ys):
    trace = make_solver(name).run(xs, ys, [1, 4])
    assert trace.weights[..., 1:, :].any()
    assert_close(trace.predictions, torch.einsum("sptd,ptd->spt", trace.weights, xs))


@pytest.mark.parametrize("name", sorted(WEIGHTLESS))
def test_a_predictor_without_weights_gives_them_as_0(name, xs, ys):
    assert not make_solver(name).run(xs, ys, [1, 4]).weights.any()


@every_solver_but(ONE_SHOT | STARTS_ELSEWHERE)
def test_a_solver_that_takes_steps_starts_from_0_and_then_moves(name, xs, ys):
    weights = make_solver(name).run(xs, ys, [0, 1, 2]).weights
    assert not weights[0].any()
    moves = (weights[1:] - weights[:-1])[:, :, 5:].norm(dim=-1)  # by then there is more than one step to take
    assert (moves > 0).all()


@every_solver
def test_predict_agrees_with_the_trace(name):
    prompts = LinearRegression(dim=3, n_points=6).sample(5, n_queries=4)
    solver = make_solver(name)
    for problems in (Regressions.of(prompts), Regressions.every_prefix(prompts.xs, prompts.ys)):
        trace = solver.trace(problems, [0, 2, 5])
        assert_close(solver.predict(problems, [0, 2, 5]), trace.predictions, rtol=1e-9, atol=1e-11)


@every_solver
def test_many_queries_of_a_context_are_answered_as_each_would_be_alone(name):
    prompts = LinearRegression(dim=3, n_points=6).sample(5, n_queries=4)
    solver = make_solver(name)
    together = solver.predict(Regressions.of(prompts), [3])[0]
    alone = solver.predict(Regressions.of(prompts.one_query_each()), [3])[0]
    assert_close(together.flatten(), alone.flatten(), rtol=1e-10, atol=1e-12)


@every_solver
def test_steps_may_come_in_any_order_and_more_than_once(name, xs, ys):
    solver = make_solver(name)
    jumbled = solver.run(xs, ys, [5, 0, 3, 5])
    assert jumbled.steps == (5, 0, 3, 5)
    for i, step in enumerate(jumbled.steps):
        single = solver.run(xs, ys, [step])
        assert_close(jumbled.predictions[i], single.predictions[0], rtol=1e-12, atol=1e-14)
        assert_close(jumbled.weights[i], single.weights[0], rtol=1e-12, atol=1e-14)
        assert torch.equal(jumbled.statuses[i], single.statuses[0])


@every_solver
def test_the_status_is_that_of_the_largest_step_wherever_it_stands(name, xs, ys):
    solver = make_solver(name)
    expected = solver.run(xs, ys, [40]).status
    assert solver.run(xs, ys, [40, 0, 1]).status is expected
    assert solver.run(xs, ys, [0, 1, 40]).status is expected


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_a_one_shot_solver_gives_the_same_answer_at_every_step(name, xs, ys):
    trace = make_solver(name).run(xs, ys, [0, 1, 17])
    for i in (1, 2):
        assert torch.equal(trace.predictions[i], trace.predictions[0])
    assert trace.status is Status.CONVERGED


@every_solver
def test_single_precision_prompts_are_solved_in_double_precision(name, xs, ys):
    solver = make_solver(name)
    single = solver.run(xs.float(), ys.float(), [3])
    double = solver.run(xs.float().double(), ys.float().double(), [3])
    assert single.predictions.dtype == single.weights.dtype == torch.float64
    assert torch.equal(single.predictions, double.predictions)


@every_solver
def test_rank_deficient_and_empty_prefixes_give_finite_answers(name, xs, ys):
    degenerate = xs.clone()
    degenerate[0, :] = degenerate[0, :1]  # one input over and over
    degenerate[1, :, 2:] = 0  # two coordinates never seen
    degenerate[2] = 0  # nothing seen at all
    trace = make_solver(name).run(degenerate, ys, [0, 1, 8, 1024])
    assert torch.isfinite(trace.predictions).all()
    assert torch.isfinite(trace.weights).all()
    assert not trace.weights[:, 2].any()


@every_solver_but(NOT_HOMOGENEOUS_IN_THE_TARGETS)
def test_targets_in_other_units_give_predictions_in_those_units(name, xs, ys):
    solver = make_solver(name)
    ours, theirs = solver.run(xs, ys, [3]).predictions, solver.run(xs, -4 * ys, [3]).predictions
    assert_close(theirs, -4 * ours, rtol=1e-9, atol=1e-11)


@every_solver
def test_mirrored_targets_give_mirrored_predictions(name, xs, ys):
    solver = make_solver(name)
    ours, theirs = solver.run(xs, ys, [3]).predictions, solver.run(xs, -ys, [3]).predictions
    assert_close(theirs, -ours, rtol=1e-9, atol=1e-11)


@every_solver_but(NOT_LINEAR_IN_THE_TARGETS)
def test_predictions_are_linear_in_the_targets(name, xs, ys):
    solver = make_solver(name)
    other = torch.randn(ys.shape, generator=torch.Generator().manual_seed(9), dtype=ys.dtype)
    first, second, mixed = (solver.run(xs, part, [3]).predictions for part in (ys, other, 2 * ys - 7 * other))
    assert_close(mixed, 2 * first - 7 * second, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", sorted(NOT_LINEAR_IN_THE_TARGETS))
def test_the_others_are_not_linear_in_the_targets(name, xs, ys):
    solver = make_solver(name)
    other = torch.randn(ys.shape, generator=torch.Generator().manual_seed(9), dtype=ys.dtype)
    first, second, both = (solver.run(xs, part, [3]).predictions for part in (ys, other, ys + other))
    assert (both - first - second).abs().max() > 1e-3


@every_solver
def test_new_names_and_signs_of_the_coordinates_change_no_prediction(name, xs, ys):
    """The rotations that even a penalty on each coordinate bears."""
    solver = make_solver(name)
    renamed = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=xs.dtype) * xs[..., [2, 0, 3, 1]]
    straight, turned = (solver.run(inputs, ys, [3]).predictions for inputs in (xs, renamed))
    assert_close(straight, turned, rtol=1e-9, atol=1e-11)


@every_solver_but(NOT_ROTATION_INVARIANT)
def test_a_rotation_of_the_inputs_changes_no_prediction(name, xs, ys):
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=xs.dtype))
    solver = make_solver(name)
    straight, turned = solver.run(xs, ys, [3]), solver.run(xs @ rotation, ys, [3])
    assert_close(straight.predictions, turned.predictions, rtol=1e-9, atol=1e-11)
    assert_close(straight.weights @ rotation, turned.weights, rtol=1e-9, atol=1e-11)


@every_solver
def test_running_leaves_the_data_as_they_were(name, xs, ys):
    before = xs.clone(), ys.clone()
    make_solver(name).run(xs, ys, [0, 3])
    assert torch.equal(xs, before[0])
    assert torch.equal(ys, before[1])


@every_solver
def test_hyperparameters_are_frozen_and_described_by_name(name):
    solver = make_solver(name)
    shown = {part.partition("=")[0] for part in solver.describe().split(", ") if part}
    assert shown == {field.name for field in fields(solver) if getattr(solver, field.name) is not None}
    with pytest.raises(FrozenInstanceError):
        solver.anything = 1  # type: ignore[attr-defined]  # to see it refused


@every_solver
def test_its_free_hyperparameters_are_those_listed_and_legal_to_the_ends_of_their_ranges(name):
    solver = make_solver(name)
    problems = Regressions.of(LinearRegression(dim=3, n_points=6).sample(5))
    space = solver.search_space(problems.spectrum)
    assert space.keys() == FREE.get(name, set())
    for key, found in space.items():
        assert found.low < found.high
        for value in (found.low, found.high):
            replace(solver, **{key: value}).predict(problems, [2])


@pytest.mark.parametrize("name", sorted(FREE))
def test_tuned_it_knows_more_than_predicting_0(name):
    """The ranges hold values that are of use, also where each prompt is one problem with one query."""
    prompts = LinearRegression(dim=3, n_points=10).sample(40)
    assert tune(name, prompts, steps=3).loss < 0.8 * tune("zero", prompts).loss


def test_every_solver_can_be_matched_by_its_name_alone():
    model = load("gd:steps=2,dim=3")
    names = sorted(SOLVERS.keys() - set(NULL_SOLVERS))
    table = match_layers(model, model.task.sample(16, seed=0), names, steps=[1, 2], n_queries=8, controls=())
    assert set(table["solver"]) == SOLVERS.keys()
    best = table[table["best"] & (table["layer"] == 2)].set_index("solver")["similarity"]
    assert best.notna().all()
    for name in ("gd", "gd++", "heavy-ball", "nesterov"):  # the layer runs gd, which these contain
        assert best[name] > 0.999


@pytest.mark.usefixtures("unchecked")
@every_solver
@pytest.mark.parametrize("steps", [[], [-1], [2, 1.5]], ids=str)
def test_steps_are_counts(name, steps, xs, ys):
    with raises_exactly(
        ValueError, f"`steps` needs at least one step count, each a whole number from 0 up; got {steps}."
    ):
        make_solver(name).run(xs, ys, steps)


@every_solver
def test_data_that_are_not_finite_are_refused(name, xs, ys):
    xs[0, 0, 0] = torch.nan
    with raises_exactly(
        ValueError,
        "`xs` holds NaN or infinite values; prompts must be finite. "
        "Drop or mend the prompts that torch.isfinite rejects.",
    ):
        make_solver(name).run(xs, ys, [1])


def test_an_unknown_solver_is_answered_with_the_nearest():
    known = ", ".join(sorted(SOLVERS))
    with raises_exactly(ValueError, f"Unknown solver 'newtn'; known are {known}. Did you mean 'newton'?"):
        make_solver("newtn")


def test_an_unknown_hyperparameter_is_answered_with_the_nearest():
    with raises_exactly(
        ValueError,
        "Unknown hyperparameter of solver 'gd' 'normalise'; known are lr, normalize. Did you mean 'normalize'?",
    ):
        make_solver("gd", normalise="sum")


def test_a_solver_without_hyperparameters_says_so():
    with raises_exactly(ValueError, "Unknown hyperparameter of solver 'ols' 'lr'; known are none."):
        make_solver("ols", lr=0.1)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        (
            "bfgs",
            "line_search",
            "exakt",
            "Unknown line_search of solver 'bfgs' 'exakt'; known are backtracking, exact. Did you mean 'exact'?",
        ),
        (
            "online-gd",
            "step_size",
            "normalized",
            "Unknown step_size of solver 'online-gd' 'normalized'; known are fixed, normalised. "
            "Did you mean 'normalised'?",
        ),
        ("heavy-ball", "momentum", "high", "Hyperparameter 'momentum' of solver 'heavy-ball' is a number, got 'high'."),
    ],
)
def test_a_value_that_a_hyperparameter_cannot_take_is_refused(name, key, value, message):
    with raises_exactly(ValueError, message):
        make_solver(name, **{key: value})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("heavy-ball:lr=0.02,momentum=0.5", HeavyBall(lr=0.02, momentum=0.5)),
        ("online-gd:step_size=normalised", OnlineGradientDescent(step_size="normalised")),
        ("chebyshev:low=1,high=4.5", Chebyshev(low=1, high=4.5)),
        ("lbfgs:memory=3,line_search=exact", LBFGS(memory=3, line_search="exact")),
        ("knn:neighbours=5", NearestNeighbours(neighbours=5)),
    ],
)
def test_a_solver_can_be_spelt_out_in_one_line(spec, expected):
    name, hyperparameters = parse_spec(spec)
    assert make_solver(name, **hyperparameters) == expected


def test_points_and_several_queries_exclude_each_other():
    prompts = LinearRegression(dim=2, n_points=4).sample(2, n_queries=3)
    with raises_exactly(
        ValueError,
        "`points` name one query each, but these prompts have 3 queries after one prefix; "
        "leave `points` out to ask all of them.",
    ):
        Regressions.of(prompts, [1])


@pytest.mark.parametrize("points", [[], [-1], [4]], ids=str)
def test_points_lie_within_the_prompt(points):
    prompts = LinearRegression(dim=2, n_points=4).sample(2)
    with raises_exactly(ValueError, f"`points` must lie in 0..3 for prompts of 4 points, got {points}."):
        Regressions.of(prompts, points)


def test_chosen_points_are_asked_as_among_all_points(xs, ys):
    """Prefixes may be listed in any order; each is solved as in a run over every prefix."""
    chosen = Regressions.of(Prompts(xs=xs, ys=ys), [7, 2, 5])
    for name in sorted(SOLVERS):
        solver = make_solver(name)
        everywhere = solver.run(xs, ys, [3]).predictions
        assert_close(solver.predict(chosen, [3]), everywhere[..., [7, 2, 5]], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_prompts", [1, 3000])
def test_a_prompt_is_solved_alike_alone_and_among_thousands(n_prompts):
    prompts = LinearRegression(dim=3, n_points=6).sample(n_prompts, n_queries=40)
    solver = make_solver("gd", lr=2.0)
    many = solver.predict(Regressions.of(prompts), [1, 16, 1024])
    last = solver.predict(Regressions.of(prompts[-1:]), [1, 16, 1024])
    assert_close(many[:, -1:], last, rtol=1e-9, atol=1e-12)
