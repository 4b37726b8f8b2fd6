"""What every solver whose steps may differ promises: gd and gd++, and any other the moment it is registered."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import SOLVERS, GradientDescent, GradientDescentPlus, Status, make_solver
from interp.solvers.stepwise import StepwiseSolver
from interp.tasks import LinearRegression
from tests.errors import raises_exactly
from tests.solvers import explicit

STEPWISE = {name: cls.stepwise for name, cls in SOLVERS.items() if issubclass(cls, StepwiseSolver)}

every_stepwise = pytest.mark.parametrize(("name", "free"), list(STEPWISE.items()), ids=list(STEPWISE))
sizes = st.floats(-0.05, 0.12)


def own(name: str, values: list[float]) -> dict[str, tuple[float, ...]]:
    """Values for every step of all that may differ: the second hyperparameter takes them in reverse, shrunk."""
    return {key: tuple(values if i == 0 else [v / 3 for v in reversed(values)]) for i, key in enumerate(STEPWISE[name])}


@every_stepwise
@given(value=st.floats(1e-6, 0.12), steps=st.integers(1, 9), seed=st.integers(0, 10_000))
def test_equal_steps_of_their_own_are_shared_steps(name, free, value, steps, seed):
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(4, seed=seed)
    shared = make_solver(name, **dict.fromkeys(free, value)).run(prompts.xs, prompts.ys, range(steps + 1))
    split = make_solver(name, **dict.fromkeys(free, (value,) * steps)).run(prompts.xs, prompts.ys, range(steps + 1))
    assert_close(split.weights, shared.weights, rtol=1e-10, atol=1e-10 * shared.weights.abs().max().item())
    assert torch.equal(split.statuses, shared.statuses)


@every_stepwise
@given(values=st.lists(sizes, min_size=2, max_size=6), data=st.data())
def test_k_steps_use_the_first_k_values_and_no_other(name, free, values, data):
    k = data.draw(st.integers(0, len(values) - 1))
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(4)
    changed = values[:k] + [v + 1 for v in values[k:]]
    first, other, short = (
        make_solver(name, **dict.fromkeys(free, tuple(part))).run(prompts.xs, prompts.ys, [k]).predictions
        for part in (values, changed, values[:k])
    )
    assert torch.equal(first, other)
    assert torch.equal(first, short)


@every_stepwise
def test_the_values_of_every_step_are_the_tuple_or_the_shared_number_repeated(name, free):
    for key in free:
        others = {other: getattr(make_solver(name), other) for other in free if other != key}
        solver = make_solver(name, **{key: (0.3, 0.1, 0.2)})
        assert isinstance(solver, StepwiseSolver)
        assert solver.values_by_step(2) == {key: (0.3, 0.1)} | {other: (v, v) for other, v in others.items()}
        assert solver.values_by_step(0) == dict.fromkeys(free, ())


@every_stepwise
@pytest.mark.parametrize("steps", [[3], [0, 9, 1]], ids=str)
def test_more_steps_than_values_are_refused(name, free, steps, xs, ys):
    for key in free:
        with raises_exactly(
            ValueError,
            f"{name} was given 2 values of `{key}`, one per step, and asked for {max(steps)} steps; "
            "give as many values as steps, or one number for all.",
        ):
            make_solver(name, **{key: (0.1, 0.2)}).run(xs, ys, steps)


@every_stepwise
def test_own_steps_that_have_not_begun_are_running_and_those_without_size_have_stalled(name, free, xs, ys):
    solver = make_solver(name, **dict.fromkeys(free, (0.0, 0.0)))
    trace = solver.run(xs, ys, [0, 2])
    assert solver.run(xs, ys, [0]).status is Status.RUNNING
    assert trace.status is Status.STALLED
    assert not trace.weights.any()


@every_stepwise
def test_own_steps_beyond_the_edge_diverge_without_an_exception(name, free, xs, ys):
    assert make_solver(name, **own(name, [50.0] * 8)).run(xs, ys, [8]).status is Status.DIVERGED


@every_stepwise
def test_small_own_steps_are_running(name, free, xs, ys):
    assert make_solver(name, **own(name, [1e-3, 2e-3, 3e-3])).run(xs, ys, [3]).status is Status.RUNNING


@pytest.mark.parametrize("normalize", ["mean", "sum"])
@given(values=st.lists(sizes, min_size=1, max_size=6), seed=st.integers(0, 10_000))
def test_own_steps_of_gd_are_the_explicit_iteration_at_every_prefix(normalize, values, seed):
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(3, seed=seed)
    xs, ys = prompts.xs.double(), prompts.ys.double()
    trace = GradientDescent(lr=tuple(values), normalize=normalize).run(xs, ys, range(len(values) + 1))
    for steps in range(len(values) + 1):
        expected = explicit.every_prefix(
            xs, ys, partial(explicit.gradient_descent, lr=values[:steps], normalize=normalize)
        )
        assert_close(trace.weights[steps], expected, rtol=1e-9, atol=1e-11)
        assert_close(trace.predictions[steps], explicit.predictions_of(expected, xs), rtol=1e-9, atol=1e-11)


@given(
    pairs=st.lists(st.tuples(sizes, st.floats(-0.02, 0.05)), min_size=1, max_size=5),
    shared=st.sampled_from(["lr", "gamma", None]),
    seed=st.integers(0, 10_000),
)
def test_own_steps_of_gd_plus_are_the_explicit_iteration_at_every_prefix(pairs, shared, seed):
    """Also where only one of the two differs from step to step."""
    lr, gamma = ([pair[i] for pair in pairs] for i in (0, 1))
    lr = lr[:1] * len(lr) if shared == "lr" else lr
    gamma = gamma[:1] * len(gamma) if shared == "gamma" else gamma
    solver = GradientDescentPlus(
        lr=lr[0] if shared == "lr" else tuple(lr), gamma=gamma[0] if shared == "gamma" else tuple(gamma)
    )
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(3, seed=seed)
    xs, ys = prompts.xs.double(), prompts.ys.double()
    trace = solver.run(xs, ys, range(len(lr) + 1))
    for steps in range(len(lr) + 1):
        expected = explicit.every_prefix(
            xs, ys, partial(explicit.gradient_descent_plus, lr=lr[:steps], gamma=gamma[:steps])
        )
        assert_close(trace.weights[steps], expected, rtol=1e-9, atol=1e-11)


@given(
    values=st.lists(sizes, min_size=2, max_size=6),
    shuffle=st.randoms(use_true_random=False),
    seed=st.integers(0, 10_000),
)
def test_the_order_of_gds_own_step_sizes_does_not_matter(values, shuffle, seed):
    """The factors 1 - lr_k lambda of what is missing commute."""
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(4, seed=seed)
    shuffled = shuffle.sample(values, len(values))
    one, other = (
        GradientDescent(lr=tuple(lr), normalize="sum").run(prompts.xs, prompts.ys, [len(values)]).weights
        for lr in (values, shuffled)
    )
    assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_the_order_of_gd_pluss_own_steps_matters(xs, ys):
    forth, back = (
        GradientDescentPlus(lr=(0.02, 0.08)[::way], gamma=(0.03, 0.01)[::way]).run(xs, ys, [2]).weights
        for way in (1, -1)
    )
    assert (forth - back).abs().max() > 1e-3


@given(values=st.lists(sizes, min_size=1, max_size=6), seed=st.integers(0, 10_000))
def test_own_steps_of_gd_plus_without_gamma_are_gds(values, seed):
    prompts = LinearRegression(dim=3, n_points=6, inputs="gaussian").sample(4, seed=seed)
    steps = range(len(values) + 1)
    plain = GradientDescent(lr=tuple(values), normalize="sum").run(prompts.xs, prompts.ys, steps)
    for gamma in (0.0, (0.0,) * len(values)):
        plus = GradientDescentPlus(lr=tuple(values), gamma=gamma).run(prompts.xs, prompts.ys, steps)
        assert_close(plus.weights, plain.weights, rtol=1e-10, atol=1e-12)
        assert torch.equal(plus.statuses, plain.statuses)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=str)
def test_gd_with_the_reciprocals_of_the_eigenvalues_has_converged_after_as_many_steps(order):
    """1 - lr_k lambda is 0 for each eigenvalue at one of the steps, and no earlier for the last of them."""
    eigenvalues = (1.0, 2.0, 5.0)
    xs = torch.diag(torch.tensor([*eigenvalues, 0.0], dtype=torch.float64).sqrt())[None, :, :3]
    ys = torch.tensor([[3.0, -1.0, 2.0, 0.0]], dtype=torch.float64)
    solver = GradientDescent(lr=tuple(1 / eigenvalues[i] for i in order), normalize="sum")
    trace = solver.run(xs, ys, [2, 3])
    assert_close(trace.weights[1, 0, -1], ys[0, :3] / torch.tensor(eigenvalues, dtype=torch.float64).sqrt())
    assert trace.status is Status.CONVERGED
    assert solver.run(xs, ys, [2]).status is not Status.CONVERGED


def test_a_long_first_step_overshoots_and_a_short_one_brings_it_back():
    """Status is that of the iterate: a step beyond the edge counts as diverged until later ones make up for it."""
    xs = torch.diag(torch.tensor([1.0, 5.0, 0.0], dtype=torch.float64).sqrt())[None, :, :2]
    ys = torch.ones(1, 3, dtype=torch.float64)
    solver = GradientDescent(lr=(1.0, 0.2), normalize="sum")  # 1 - 1.0 * 5 is -4
    assert solver.run(xs, ys, [1]).status is Status.DIVERGED
    assert solver.run(xs, ys, [2]).status is Status.CONVERGED


def test_own_values_are_described_in_a_line():
    assert make_solver("gd++", lr=(0.5, 1 / 3), gamma=0.1).describe() == "lr=(0.5, 0.3333), gamma=0.1"
