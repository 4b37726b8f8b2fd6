"""The numbers that von Oswald et al.'s set-up must give: dim 10, 10 examples, uniform inputs, normal weights."""

import pytest
import torch

from interp.solvers import (
    AbstractSolver,
    GradientDescent,
    Newton,
    OrdinaryLeastSquares,
    Regressions,
    Ridge,
    make_solver,
    tune,
)
from interp.tasks import LinearRegression, Prompts

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


def loss_and_sampling_error(solver: AbstractSolver, prompts: Prompts, steps: int) -> tuple[float, float]:
    problems = Regressions.of(prompts)
    errors = solver.predict(problems, [steps])[0] - problems.targets
    by_context = 0.5 * errors.square().unflatten(0, (-1, DIM)).mean(dim=(1, 2))
    return by_context.mean().item(), (by_context.std() / len(by_context) ** 0.5).item()


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
