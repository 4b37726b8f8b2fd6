"""The numbers that von Oswald et al.'s set-up must give: dim 10, 10 examples, uniform inputs, normal weights."""

from functools import cache
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.solvers import (
    AbstractSolver,
    GradientDescent,
    GradientDescentPlus,
    Newton,
    OrdinaryLeastSquares,
    Regressions,
    Ridge,
    Tuned,
    make_solver,
    tune,
)
from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly

DIM = 10


@pytest.fixture(scope="module")
def contexts():
    """500 contexts, each with 10 hidden weight vectors and 10 queries that average over both laws exactly.

    The error of a solver is linear in the hidden weights and in the query. Its square is averaged over both by any
    orthogonal bases of the right length, so what is left of sampling error comes from the contexts alone.
    """
    xs = LinearRegression(dim=DIM).sample(500, seed=0).xs[:, :-1].double()
    basis = torch.eye(DIM, dtype=torch.float64)
    weights = (DIM**0.5 * basis).repeat(len(xs), 1)
    queries = ((DIM / 12) ** 0.5 * basis).expand(len(xs), -1, -1)
    asked = torch.cat([xs, queries], dim=1).repeat_interleave(DIM, dim=0)
    return Prompts(xs=asked, ys=torch.einsum("ptd,pd->pt", asked, weights), w=weights, n_queries=DIM)


def losses_by_context(solver: AbstractSolver, prompts: Prompts, steps: int) -> torch.Tensor:
    problems = Regressions.of(prompts)
    errors = solver.predict(problems, [steps])[0] - problems.targets
    return 0.5 * errors.square().unflatten(0, (-1, DIM)).mean(dim=(1, 2))


def mean_and_sampling_error(values: torch.Tensor) -> tuple[float, float]:
    return values.mean().item(), (values.std() / len(values) ** 0.5).item()


def loss_and_sampling_error(solver: AbstractSolver, prompts: Prompts, steps: int) -> tuple[float, float]:
    return mean_and_sampling_error(losses_by_context(solver, prompts, steps))


@pytest.mark.parametrize(
    ("name", "steps", "loss", "hyperparameters", "within"),
    [
        ("gd", 1, 0.2062, {"lr": 6.061}, 0.01),
        ("gd", 2, 0.156, {"lr": 5.9}, 0.03),  # a flat optimum, published to two digits
        ("gd++", 2, 0.110, {"lr": 1.34, "gamma": 0.175}, 0.02),
        ("gd", 5, 0.1075, {}, 0),
        ("gd++", 5, 0.0509, {}, 0),
    ],
)
def test_the_best_shared_step_reaches_the_known_loss(contexts, name, steps, loss, hyperparameters, within):
    tuned = tune(name, contexts, steps)
    found, error = loss_and_sampling_error(tuned.solver, contexts, steps)
    assert tuned.loss == pytest.approx(found, rel=1e-9)
    assert error < 0.02 * loss
    assert abs(tuned.loss - loss) < 4 * error  # the known values are means over finitely many contexts too
    for key, value in hyperparameters.items():
        assert getattr(tuned.solver, key) == pytest.approx(value, rel=within)


def test_the_best_single_step_is_the_ratio_of_mean_spectral_moments(contexts):
    """(1 - eta s)^2 summed over the eigenvalues s of S/n is least in the mean at eta = E tr S/n over E tr (S/n)^2."""
    tuned = tune("gd", contexts, 1)
    spectrum = Regressions.of(contexts).spectrum.eigenvalues / 10
    assert isinstance(tuned.solver, GradientDescent)
    assert tuned.solver.lr == pytest.approx((spectrum.sum() / spectrum.square().sum()).item(), rel=1e-5)


def test_tuning_beats_every_neighbour(contexts):
    tuned = tune("gd", contexts, 2)
    assert isinstance(tuned.solver, GradientDescent)
    assert isinstance(tuned.solver.lr, float)
    for factor in (0.99, 1.01):
        near = GradientDescent(lr=factor * tuned.solver.lr)
        assert loss_and_sampling_error(near, contexts, 2)[0] > tuned.loss


def test_newton_is_tuned_from_a_constant_start(contexts):
    tuned = tune("newton", contexts, 3)
    assert isinstance(tuned.solver, Newton)
    assert tuned.solver.alpha is not None
    for factor in (0.98, 1.02):
        near = Newton(scale="constant", alpha=factor * tuned.solver.alpha)
        assert loss_and_sampling_error(near, contexts, 3)[0] > tuned.loss


def test_with_noise_the_best_penalty_is_the_ratio_of_the_variances():
    """The posterior mean minimises the expected error: alpha = noise variance over weight variance, here 1/4."""
    prompts = LinearRegression(dim=3, n_points=9, inputs="gaussian", noise_std=0.5).sample(4000, seed=1, n_queries=8)
    tuned = tune("ridge", prompts)
    at_truth = tune(make_solver("ridge", alpha=0.25), prompts).loss
    assert tuned.loss <= at_truth
    assert tuned.loss == pytest.approx(at_truth, rel=1e-3)
    assert isinstance(tuned.solver, Ridge)
    assert tuned.solver.alpha == pytest.approx(0.25, rel=0.15)  # 4000 prompts place a flat optimum no better


def test_a_solver_without_free_hyperparameters_comes_back_as_it_is(contexts):
    tuned = tune("ols", contexts)
    assert tuned.solver == OrdinaryLeastSquares()
    assert tuned.loss < 1e-9  # ten noiseless examples determine ten weights


def test_an_object_keeps_what_is_not_free(contexts):
    tuned, free = tune(GradientDescent(normalize="sum"), contexts, 1).solver, tune("gd", contexts, 1).solver
    assert isinstance(tuned, GradientDescent)
    assert isinstance(free, GradientDescent)
    assert tuned.normalize == "sum"
    assert tuned.lr * 10 == pytest.approx(free.lr, rel=1e-5)


def test_an_unknown_solver_is_refused(contexts):
    with pytest.raises(ValueError, match=r"^Unknown solver 'gdd'; .* Did you mean 'gd'\?$"):
        tune("gdd", contexts)


# Steps of their own.


def residual_polynomial(prompts: Prompts, degree: int) -> tuple[np.ndarray, float]:
    """Reciprocals of the zeros of the polynomial p with p(0) = 1 that leaves the least loss, ascending, and that loss.

    What GD leaves of a prediction along an eigenvector of S is the product of 1 - lr_k lambda over its steps: a
    polynomial with p(0) = 1, whose other coefficients are a linear least-squares problem. Where errors along different
    eigenvectors are uncorrelated the best one is orthogonal with respect to a positive measure, so that its zeros are
    real, distinct and among the eigenvalues: nothing that steps of any size could do is better.
    """
    problems = Regressions.of(prompts)
    spectrum = problems.spectrum
    weights = (spectrum.vectors.mT @ prompts.w[:, None, :, None].to(spectrum.vectors))[..., 0]  # type: ignore[index]
    asked = (problems.queries @ spectrum.vectors) * weights[:, :, None]
    powers = torch.stack([asked * spectrum.eigenvalues[:, :, None] ** k for k in range(degree + 1)]).sum(-1).flatten(1)
    unit = powers.norm(dim=1)
    solution = torch.linalg.lstsq((powers[1:] / unit[1:, None]).T, -powers[0, :, None]).solution[:, 0] / unit[1:]
    left = powers[0] + solution @ powers[1:]
    roots = np.roots([*reversed(solution.tolist()), 1.0])
    assert not np.iscomplex(roots).any()
    return np.sort(1 / roots.real), 0.5 * left.square().mean().item()


def with_eigenvalues(eigenvalues: list[float], n_prompts: int, seed: int, n_examples: int = 7) -> Prompts:
    """One design for all prompts, whose columns are orthogonal and have these squared lengths; weights at random."""
    generator = torch.Generator().manual_seed(seed)
    dim = len(eigenvalues)
    columns, _ = torch.linalg.qr(torch.randn(n_examples, dim, generator=generator, dtype=torch.float64))
    design = columns * torch.tensor(eigenvalues, dtype=torch.float64).sqrt()
    queries, w = torch.randn(2, n_prompts, dim, generator=generator, dtype=torch.float64)
    xs = torch.cat([design.expand(n_prompts, -1, -1), queries[:, None]], dim=1)
    return Prompts(xs=xs, ys=torch.einsum("ptd,pd->pt", xs, w), w=w)


def own_lr(solver: AbstractSolver) -> list[float]:
    assert isinstance(solver, GradientDescent | GradientDescentPlus)
    assert isinstance(solver.lr, tuple)
    return sorted(solver.lr)


@pytest.fixture(scope="module")
def own_steps_of_gd(contexts):
    """The best steps of their own on the contexts, by their number."""
    return cache(lambda steps: tune("gd", contexts, steps, per_step=True))


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_the_best_own_steps_of_gd_are_the_reciprocals_of_the_zeros_of_the_best_polynomial(
    contexts, own_steps_of_gd, steps
):
    best, loss = residual_polynomial(contexts, steps)
    tuned = own_steps_of_gd(steps)
    assert tuned.loss == pytest.approx(loss, rel=1e-4)
    assert own_lr(tuned.solver) == pytest.approx(10 * best, rel=0.05)  # a flat optimum; lr is eta times n


@pytest.mark.parametrize(("steps", "shared", "own"), [(2, 0.156, 0.1412), (5, 0.1075, 0.0786)])
def test_the_best_own_steps_of_gd_reach_the_known_loss(contexts, own_steps_of_gd, steps, shared, own):
    """The known values of own steps are those of the best polynomial on 200,000 contexts."""
    ours = losses_by_context(own_steps_of_gd(steps).solver, contexts, steps)
    theirs = losses_by_context(tune("gd", contexts, steps).solver, contexts, steps)
    loss, error = mean_and_sampling_error(ours)
    assert error < 0.02 * own
    assert abs(loss - own) < 4 * error
    gain, error = mean_and_sampling_error(theirs - ours)  # on the same contexts
    assert abs(gain - (shared - own)) < 4 * error


@pytest.mark.parametrize(
    ("steps", "shared", "below"), [(2, 0.110, 0.095), pytest.param(5, 0.0509, 0.01, marks=pytest.mark.slow)]
)
def test_own_steps_of_gd_plus_reach_what_shared_ones_cannot(contexts, steps, shared, below):
    some = contexts[:1000]  # 100 contexts
    assert tune("gd++", some, steps).loss == pytest.approx(shared, rel=0.05)
    assert tune("gd++", some, steps, per_step=True).loss < below


@cache
def tuned_on_few(name: str, steps: int, *, per_step: bool, seed: int = 0) -> Tuned:
    return tune(name, few_prompts(seed), steps, per_step=per_step)


def few_prompts(seed: int = 0, weight_scale: float = 1.0) -> Prompts:
    task = LinearRegression(dim=3, n_points=5, noise_std=0.3 * seed, weight_scale=weight_scale)
    return task.sample(40, seed=seed, n_queries=2)


@pytest.mark.parametrize(
    ("name", "seed", "steps"),
    [("gd", 0, 2), ("gd", 1, 3), ("gd", 2, 5), ("gd", 3, 2), ("gd++", 0, 2), ("gd++", 1, 3), ("gd++", 2, 2)],
)
def test_own_steps_are_never_worse_than_shared_ones(name, seed, steps):
    shared, own = (tuned_on_few(name, steps, per_step=per_step, seed=seed) for per_step in (False, True))
    assert own.loss <= shared.loss
    assert own.steps == steps
    problems = Regressions.of(few_prompts(seed))
    errors = own.solver.predict(problems, [steps])[0] - problems.targets
    assert own.loss == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-9)


@settings(max_examples=6)
@given(
    distinct=st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, 8.0]), min_size=2, max_size=3, unique=True),
    repeated=st.integers(0, 2),
    normalize=st.sampled_from(["mean", "sum"]),
    seed=st.integers(0, 1000),
)
def test_as_many_own_steps_of_gd_as_s_has_eigenvalues_solve_every_prompt(
    distinct: list[float], repeated: int, normalize: Literal["mean", "sum"], seed: int
):
    """The product of 1 - lr_k lambda vanishes at k points where the lr are their reciprocals, in some order."""
    prompts = with_eigenvalues(distinct + distinct[:1] * repeated, n_prompts=40, seed=seed)
    steps = len(distinct)
    tuned = tune(GradientDescent(normalize=normalize), prompts, steps, per_step=True)
    divisor = prompts.n_examples if normalize == "mean" else 1
    assert tuned.loss < 1e-6 * tune("zero", prompts).loss
    assert own_lr(tuned.solver) == pytest.approx(sorted(divisor / value for value in distinct), rel=1e-2)
    trace = tuned.solver.trace(Regressions.of(prompts), [steps])
    assert_close(trace.weights[0, :, 0], prompts.w, rtol=0, atol=0.02)


def test_two_own_steps_of_gd_agree_with_a_grid_that_is_refined():
    prompts = LinearRegression(dim=3, n_points=5, noise_std=0.1).sample(50, seed=4)
    problems = Regressions.of(prompts)

    def loss(pair: tuple[float, float]) -> float:
        errors = GradientDescent(lr=pair, normalize="sum").predict(problems, [2])[0] - problems.targets
        return 0.5 * errors.square().mean().item()

    centre, spread = (1.0, 1.0), 100.0
    for _ in range(7):  # the factor between the centre and the edge falls from 100 to 1.0003
        axes = [value * spread ** np.linspace(-1, 1, 13) for value in centre]
        centre = min(((float(a), float(b)) for a in axes[0] for b in axes[1]), key=loss)
        spread **= 0.25
    tuned = tune(GradientDescent(normalize="sum"), prompts, 2, per_step=True)
    assert tuned.loss == pytest.approx(loss(centre), rel=1e-6)
    assert tuned.loss <= loss(centre) * (1 + 1e-9)
    assert own_lr(tuned.solver) == pytest.approx(sorted(centre), rel=1e-2)


@pytest.mark.parametrize(("seed", "steps"), [(0, 2), (1, 3)])
def test_own_steps_are_one_value_per_step_of_all_that_may_differ(seed, steps):
    tuned = tuned_on_few("gd++", steps, per_step=True, seed=seed).solver
    assert isinstance(tuned, GradientDescentPlus)
    assert isinstance(tuned.lr, tuple)
    assert isinstance(tuned.gamma, tuple)
    assert len(tuned.lr) == len(tuned.gamma) == steps


@pytest.mark.parametrize("name", ["gd", "gd++"])
def test_own_steps_are_the_same_each_time(name):
    assert tune(name, few_prompts(), 2, per_step=True) == tuned_on_few(name, 2, per_step=True)


@pytest.mark.parametrize("name", ["gd", "gd++"])
def test_a_single_step_of_its_own_is_the_shared_one(name):
    shared, own = (tune(name, few_prompts(), 1, per_step=per_step) for per_step in (False, True))
    assert own.loss == shared.loss
    problems = Regressions.of(few_prompts())
    assert_close(own.solver.predict(problems, [1]), shared.solver.predict(problems, [1]))


@pytest.mark.parametrize(("name", "scale"), [("gd", 1e-4), ("gd", 1e7), ("gd++", 1e-4)])
def test_own_steps_do_not_depend_on_the_units_of_y(name, scale):
    """Both are linear in the targets, so that half the mean squared error scales with their square."""
    found = tune(name, few_prompts(weight_scale=scale), 2, per_step=True)
    assert found.loss == pytest.approx(scale**2 * tuned_on_few(name, 2, per_step=True).loss, rel=1e-5)


def test_own_steps_may_be_tuned_at_chosen_points():
    prompts = LinearRegression(dim=3, n_points=7).sample(40)
    shared, own = (tune("gd", prompts, 2, points=[2, 4, 6], per_step=per_step) for per_step in (False, True))
    assert own.loss < shared.loss
    problems = Regressions.of(prompts, [2, 4, 6])
    errors = own.solver.predict(problems, [2])[0] - problems.targets
    assert own.loss == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-9)


@pytest.mark.parametrize("name", ["newton", "ridge", "ols", "zero"])
def test_other_solvers_have_no_steps_of_their_own(name):
    with raises_exactly(ValueError, f"The steps of {name!r} cannot differ from each other; leave `per_step` out."):
        tune(name, LinearRegression(dim=2, n_points=3).sample(4), 2, per_step=True)


def test_a_margin_keeps_steps_of_their_own_from_exploding_beyond_the_eigenvalues_they_were_tuned_on():
    task = LinearRegression()
    prompts = task.sample(1000, seed=0)
    held = tune("gd++", prompts, 3, per_step=True, margin=0.25)
    top = Regressions.of(prompts).spectrum.eigenvalues.max().item()
    beyond = torch.linspace(top, 1.25 * top, 50, dtype=torch.float64)
    # One prompt for each eigenvalue, along the first axis: y = x, so that the prediction is lambda g(lambda).
    xs = torch.zeros(50, 2, 10, dtype=torch.float64)
    xs[:, 0, 0], xs[:, 1, 0] = beyond.sqrt(), 1
    ys = torch.stack([beyond.sqrt(), torch.ones_like(beyond)], dim=1)
    (done,) = held.solver.predict(Regressions.of(Prompts(xs=xs, ys=ys)), [3])
    assert ((1 - done).abs() < 1.05).all()
    assert held.loss < tune("gd++", prompts, 3).loss


@pytest.mark.parametrize(("margin", "per_step"), [(-0.1, True), (float("inf"), True), (0.2, False)])
def test_a_margin_is_a_share_for_steps_of_their_own(margin, per_step):
    with pytest.raises(ValueError, match="`margin` is a share from 0 up, for steps of their own"):
        tune("gd++", LinearRegression().sample(8), 2, per_step=per_step, margin=margin)
