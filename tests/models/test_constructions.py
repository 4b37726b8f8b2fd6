"""Transformers whose weights are written down do, layer by layer, exactly what their solver does step by step."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import interp
from interp.models import RegressionTransformer, TransformerConfig, descent_twin
from interp.models.constructions import CONSTRUCTIONS, build_construction
from interp.models.folders import describe_model
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression, Prompts, SineWaves
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model

EXACT: dict[str, Callable[[int], tuple[dict[str, float], dict[str, str]]]] = {
    # Weights that single precision holds exactly: eta/n is 1/8 for 2 dim examples, the others are powers of 2 too.
    "gd:steps=3": lambda dim: ({"lr": dim / 4}, {}),
    "gd++:steps=2": lambda dim: ({"lr": 1 / 8, "gamma": 1 / 64}, {}),
    "newton:steps=4": lambda dim: ({"alpha": 1 / 64}, {"scale": "constant"}),
}
PRECISION = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Relative error allowed after up to six layers in each precision."""


def layer_predictions(model: RegressionTransformer, prompts: Prompts) -> torch.Tensor:
    """Each layer's prediction at the queries, [layer prompt query], by the model's own readout."""
    _, cache = model.run_with_cache(model.tokens(prompts), n_queries=prompts.n_queries)
    states = [cache["resid_pre", 0], *(cache["resid_post", layer] for layer in range(model.cfg.n_layers))]
    return torch.stack([model.decode(state[:, prompts.n_examples :]) for state in states])


def assert_relative(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert (found - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("dtype", PRECISION, ids=str)
@pytest.mark.parametrize("noise_std", [0.0, 0.5])
@pytest.mark.parametrize("dim", [2, 5, 20])
@pytest.mark.parametrize("spec", EXACT)
def test_every_layer_predicts_what_the_next_step_of_the_solver_does(spec, dim, noise_std, dtype):
    name = spec.partition(":")[0]
    shared, of_the_solver = EXACT[spec](dim)
    options = ",".join(f"{key}={value}" for key, value in shared.items())
    model = interp.load(f"{spec},dim={dim},noise_std={noise_std},{options}").to(dtype)
    prompts = model.task.sample(16, seed=1, n_queries=5)
    solver = make_solver(name, **shared, **of_the_solver)
    lead = 2 if name == "newton" else 0  # layers before the one that predicts with step 0
    n_steps = model.cfg.n_layers - lead
    iterates = solver.predict(Regressions.of(prompts), range(n_steps + 1)).to(dtype)
    predictions = layer_predictions(model, prompts)
    assert torch.equal(predictions[:lead], torch.zeros_like(predictions[:lead]))
    for step in range(n_steps + 1):
        assert_relative(predictions[lead + step], iterates[step], PRECISION[dtype])
    assert_relative(model(model.tokens(prompts), n_queries=5), iterates[-1], PRECISION[dtype])


@pytest.mark.parametrize("dim", [2, 20])
def test_a_step_size_of_0_stands_for_the_reciprocal_of_the_expected_leading_eigenvalue(dim):
    n = 2 * dim
    edge = (1 + (dim / n) ** 0.5) ** 2 / 12  # Marchenko-Pastur, of S/n
    model, stated = interp.load(f"gd:dim={dim}"), interp.load(f"gd:dim={dim},lr={1 / edge!r}")
    prompts = model.task.sample(4)
    assert_close(model(model.tokens(prompts)), stated(stated.tokens(prompts)))


@pytest.mark.parametrize("spec", ["gd:steps=12", "gd++:steps=12", "newton:steps=10"])
def test_the_default_hyperparameters_never_diverge(spec):
    """Many steps at the default step size bring every prompt closer to its hidden weights."""
    model = interp.load(spec)
    prompts = model.task.sample(500, seed=0)
    errors = (model(model.tokens(prompts))[:, 0] - prompts.ys[:, -1]).square()
    assert errors.mean() < 0.2 * prompts.ys[:, -1].square().mean()


def test_the_number_of_points_counts_the_query():
    assert interp.load("gd:points=7").task.n_points == 7
    assert interp.load("gd:dim=3").task.n_points == 7  # 2 dim examples and the query


def test_the_noise_is_the_tasks():
    task = interp.load("newton:noise_std=0.25").task
    assert isinstance(task, LinearRegression)
    assert task.noise_std == 0.25


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "gd:stepz=3",
            "Unknown parameter of 'gd' 'stepz'; known are clamp, dim, lr, noise_std, points, steps. "
            "Did you mean 'steps'?",
        ),
        (
            "newton:gamma=3",
            "Unknown parameter of 'newton' 'gamma'; known are alpha, dim, noise_std, points, steps.",
        ),
        ("gd:steps=0", "'steps' of 'gd' must be a whole number from 1 up, got 0."),
        ("gd:steps=1.5", "'steps' of 'gd' must be a whole number from 1 up, got 1.5."),
        ("gd++:gamma=-1", "'gamma' of 'gd++' must be a number from 0 up, got -1."),
        ("gd:lr=fast", "'lr' of 'gd' must be a number from 0 up, got 'fast'."),
        ("gd++:clamp=-1", "'clamp' of 'gd++' must be a number from 0 up, got -1."),
        (
            "newton:clamp=10",
            "Unknown parameter of 'newton' 'clamp'; known are alpha, dim, noise_std, points, steps.",
        ),
        ("gd:points=1,lr=1", "A construction needs at least one example before the query, got points=1."),
        ("gd:points=1", "A construction needs at least one example before the query, got points=1."),
        ("gd:", "'gd:' ends after the colon; write 'gd' or 'gd:key=value'."),
        ("gd:steps", "Cannot read 'steps' in 'gd:steps'; expected key=value pairs divided by commas."),
        ("gd:steps=2,steps=3", "'steps' is given twice in 'gd:steps=2,steps=3'."),
    ],
)
def test_a_construction_that_cannot_be_built_is_refused(spec, message):
    with raises_exactly(ValueError, message):
        interp.load(spec)


def test_an_unknown_construction_is_answered_with_the_nearest():
    with raises_exactly(ValueError, "Unknown construction 'gdd'; known are copy, gd, gd++, newton. Did you mean 'gd'?"):
        build_construction("gdd", {"steps": 2})


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("key", ["lr", "noise_std"])
def test_numbers_that_are_not_finite_are_refused(key, value):
    with raises_exactly(ValueError, f"{key!r} of 'gd' must be a number from 0 up, got {value}."):
        interp.load(f"gd:{key}={value}")


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_a_construction_says_where_it_comes_from(name):
    info = describe_model(interp.load(f"{name}:dim=2"))
    assert (info.name, info.source, info.seed) == (f"{name}:dim=2", "construction", None)
    assert info.checksum != describe_model(interp.load(f"{name}:dim=3")).checksum


def clamped_descent(
    prompts: Prompts, eta_over_n: Sequence[float], gamma: Sequence[float], clamp: float
) -> torch.Tensor:
    """GD++ on tokens whose entries are all cut at ``clamp`` after every step, in plain loops: [step prompt]."""
    answers = []
    for xs, ys in zip(prompts.xs.double(), prompts.ys.double(), strict=True):
        X, y, query, out = xs[:-1], ys[:-1], xs[-1], torch.zeros((), dtype=torch.float64)
        found = [out]
        for eta, g in zip(eta_over_n, gamma, strict=True):
            S, b = X.T @ X, X.T @ y
            X, y, query, out = X - g * X @ S, y - eta * X @ b, query - g * S @ query, out - eta * b @ query
            X, y, query, out = (part.clip(-clamp, clamp) for part in (X, y, query, out))
            found.append(-out)
        answers.append(torch.stack(found))
    return torch.stack(answers, dim=1)


CLAMPS = st.sampled_from([0.1, 0.4, 1.0, 10.0])
STEP_SIZES = st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 0.2)), min_size=1, max_size=5)


@given(clamp=CLAMPS, steps=st.integers(1, 6), lr=st.floats(0.5, 30.0))
def test_clamped_gradient_descent_cuts_all_it_knows_after_every_step(clamp, steps, lr):
    model = interp.load(f"gd:dim=3,steps={steps},lr={lr},clamp={clamp}").double()
    prompts = model.task.sample(8)
    eta_over_n = -model.OV.AB[:, 0, -1, -1]  # rounded to single precision
    expected = clamped_descent(prompts, eta_over_n.tolist(), [0.0] * steps, clamp)
    assert_close(layer_predictions(model, prompts)[..., 0], expected)
    assert expected.abs().max() <= clamp


@pytest.mark.parametrize("spec", ["gd:steps=6,lr=1000", "gd++:steps=6,lr=1000,gamma=0.3"])
def test_a_diverging_construction_stays_within_its_clamp(spec):
    free, clamped = interp.load(spec), interp.load(f"{spec},clamp=10")
    assert isinstance(free.cfg, TransformerConfig) and isinstance(clamped.cfg, TransformerConfig)
    assert (free.cfg.clamp, clamped.cfg.clamp) == (None, 10.0)
    tokens = free.tokens(free.task.sample(8))
    assert not free(tokens).abs().max() < 1e6
    _, cache = clamped.run_with_cache(tokens)
    assert all(cache["resid_post", layer].abs().max() <= 10 for layer in range(6))
    assert clamped(tokens).abs().max() == 10


@pytest.mark.parametrize("name", ["gd", "gd++"])
def test_a_clamp_that_nothing_reaches_leaves_a_construction_as_it_is(name):
    free, clamped = interp.load(f"{name}:steps=4"), interp.load(f"{name}:steps=4,clamp=1000")
    tokens = free.tokens(free.task.sample(8))
    assert torch.equal(free(tokens), clamped(tokens))


@given(steps=STEP_SIZES, shared=st.booleans())
def test_a_twin_predicts_in_each_layer_as_the_solver_does_with_a_value_for_each_step(steps, shared):
    eta, gamma = ([pair[i] for pair in steps] for i in (0, 1))
    if shared:
        eta, gamma = [eta[0]] * len(steps), [gamma[0]] * len(steps)
    model = tiny_model(n_points=9)
    prompts = model.task.sample(5, n_queries=2)
    problems = Regressions.of(prompts)
    values = {"lr": eta[0], "gamma": gamma[0]} if shared else {"lr": tuple(eta), "gamma": tuple(gamma)}
    for name, straightening in (("gd", [0.0] * len(steps)), ("gd++", gamma)):
        twin = descent_twin(model, eta, straightening)
        own = {"lr": values["lr"], "normalize": "sum"} if name == "gd" else values
        iterates = make_solver(name, **own).predict(problems, range(len(steps) + 1))
        assert_relative(layer_predictions(twin, prompts), iterates, 1e-6)  # weights were rounded to single precision


@given(steps=STEP_SIZES, clamp=CLAMPS)
def test_a_twin_is_clamped_as_its_model_is(steps, clamp):
    eta, gamma = [40 * pair[0] for pair in steps], [pair[1] for pair in steps]
    twin = descent_twin(tiny_model(clamp=clamp), eta, gamma)
    prompts = twin.task.sample(5)
    written = -twin.OV.AB[:, 0].diagonal(dim1=-2, dim2=-1)
    expected = clamped_descent(prompts, written[:, -1].tolist(), written[:, 0].tolist(), clamp)
    assert_close(layer_predictions(twin, prompts)[..., 0], expected)
    _, cache = twin.run_with_cache(twin.tokens(prompts))
    assert all(cache["resid_post", layer].abs().max() <= clamp for layer in range(len(steps)))


@pytest.mark.parametrize("dtype", PRECISION, ids=str)
def test_a_twin_has_the_models_task_and_precision(dtype):
    model = tiny_model(n_points=7).to(dtype)
    twin = descent_twin(model, [0.1, 0.2], [0.0, 0.0])
    assert (twin.task, twin.cfg.clamp, twin.cfg.n_layers) == (model.task, None, 2)
    assert twin.W_Q.dtype == dtype
    assert torch.isfinite(twin(model.tokens(model.task.sample(2)))).all()


def test_a_twin_needs_as_many_gammas_as_step_sizes():
    with raises_exactly(ValueError, "Every step has one eta/n and one gamma, got 3 and 2; give as many of each."):
        descent_twin(tiny_model(), [0.1, 0.1, 0.1], [0.0, 0.0])


def test_a_task_that_is_not_linear_has_no_twin():
    model = RegressionTransformer(TransformerConfig(dim=1), SineWaves())
    with raises_exactly(ValueError, "GD on x solves linear regression; the model's task is SineWaves."):
        descent_twin(model, [0.1], [0.0])
