"""What every solver promises. A new one is held to it the moment it is registered."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch.testing import assert_close

from interp.solvers import NULL_SOLVERS, SOLVERS, Regressions, Status, make_solver
from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly

ONE_SHOT = ("ols", "ridge", "zero", "mean")

every_solver = pytest.mark.parametrize("name", sorted(SOLVERS))


@every_solver
def test_the_order_of_the_examples_does_not_matter(name, xs, ys):
    *seen, query = range(xs.shape[1])
    order = [*reversed(seen), query]
    solver = make_solver(name)
    straight, shuffled = solver.run(xs, ys, [3]), solver.run(xs[:, order], ys[:, order], [3])
    assert_close(straight.predictions[..., -1], shuffled.predictions[..., -1], rtol=1e-9, atol=1e-11)


@every_solver
def test_nothing_is_predicted_before_the_first_example(name, xs, ys):
    predictions = make_solver(name).run(xs, ys, [0, 1, 3]).predictions
    assert not predictions[..., 0].any()


@every_solver
def test_a_prediction_depends_on_nothing_that_comes_after_it(name, xs, ys):
    solver = make_solver(name)
    changed_xs, changed_ys = xs.clone(), ys.clone()
    changed_xs[:, 6:] += 5
    changed_ys[:, 5:] -= 3  # y_5 is the answer at point 5, not a clue
    before, after = solver.run(xs, ys, [3]), solver.run(changed_xs, changed_ys, [3])
    assert_close(before.predictions[..., :6], after.predictions[..., :6], rtol=1e-12, atol=1e-13)
    assert_close(before.weights[..., :6, :], after.weights[..., :6, :], rtol=1e-12, atol=1e-13)


@every_solver
def test_predictions_are_those_of_the_weights_but_for_the_null_predictors(name, xs, ys):
    trace = make_solver(name).run(xs, ys, [1, 4])
    if name not in NULL_SOLVERS:
        assert_close(trace.predictions, torch.einsum("sptd,ptd->spt", trace.weights, xs))


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


@pytest.mark.parametrize("name", ONE_SHOT)
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


@every_solver
def test_predictions_are_linear_in_the_targets(name, xs, ys):
    solver = make_solver(name)
    other = torch.randn(ys.shape, generator=torch.Generator().manual_seed(9), dtype=ys.dtype)
    first, second, mixed = (solver.run(xs, part, [3]).predictions for part in (ys, other, 2 * ys - 7 * other))
    assert_close(mixed, 2 * first - 7 * second, rtol=1e-9, atol=1e-11)


@every_solver
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
def test_its_free_hyperparameters_are_fields_with_ranges_in_order(name):
    solver = make_solver(name)
    spectrum = Regressions.of(LinearRegression(dim=3, n_points=6).sample(5)).spectrum
    for key, found in solver.search_space(spectrum).items():
        assert hasattr(solver, key)
        assert found.low < found.high


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
