"""The construction of copying does to the tokens exactly what the proposition says, and then takes one step of GD."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import interp
from interp.models import RegressionTransformer
from interp.models.copying import N_CHANNELS, copying_frequency
from interp.models.positions import sinusoids
from interp.solvers import make_solver
from tests.errors import raises_exactly

DIMS, POINTS = st.integers(1, 6), st.integers(2, 60)


def construction(dim: int, points: int, options: str = "") -> RegressionTransformer:
    model = interp.load(f"copy:dim={dim},points={points}{options}").double()
    assert isinstance(model, RegressionTransformer)
    return model


@given(dim=DIMS, points=POINTS)
def test_every_token_attends_to_the_next_one_alone_and_the_query_to_itself(dim, points):
    model = construction(dim, points)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(2)))
    n_pos = 2 * points - 1
    next_one = torch.eye(n_pos, dtype=torch.float64).roll(1, dims=1)
    next_one[-1] = torch.eye(n_pos, dtype=torch.float64)[-1]
    assert torch.equal(cache["pattern", 0], next_one.expand(2, 1, -1, -1))  # exactly: the others' exponentials are 0


@given(dim=DIMS, points=POINTS, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_the_first_layer_makes_x_y_of_every_x_and_leaves_all_else_as_it_is(dim, points, dtype):
    model = construction(dim, points).to(dtype)
    prompts = model.task.sample(3)
    tokens = model.tokens(prompts)
    _, cache = model.run_with_cache(tokens)
    expected = tokens.clone()
    expected[:, :-1:2, dim] = prompts.ys[:, :-1].to(dtype)
    assert torch.equal(cache["resid_post", 0][..., : dim + 1], expected)
    positions = sinusoids(tokens.shape[1], N_CHANNELS).to(dtype)
    assert torch.equal(cache["resid_post", 0][..., dim + 1 :], positions.expand(3, -1, -1))


@given(dim=DIMS, points=POINTS, noise_std=st.sampled_from([0.0, 0.5]))
def test_the_prediction_is_that_of_one_gradient_step(dim, points, noise_std):
    lr = (points - 1) / 8  # eta/n, which is what the weights hold, is then exact in single precision
    model = construction(dim, points, f",lr={lr},noise_std={noise_std}")
    prompts = model.task.sample(5, seed=points)
    expected = make_solver("gd", lr=lr).run(prompts.xs.double(), prompts.ys.double(), steps=[1]).predictions[0, :, -1]
    assert_close(model(model.tokens(prompts))[:, 0], expected, atol=1e-10, rtol=0)


def test_a_step_size_of_0_is_that_of_the_construction_of_gd():
    copying, gd = construction(4, 9), interp.load("gd:dim=4,points=9").double()
    prompts = gd.task.sample(5)
    assert_close(copying(copying.tokens(prompts)), gd(gd.tokens(prompts)))


def test_untrained_weights_of_the_same_shape_copy_nothing():
    model = construction(4, 9)
    twin = model.untrained_twin(0)
    prompts = model.task.sample(5)
    tokens = model.tokens(prompts)
    _, cache = twin.run_with_cache(tokens)
    copied = cache["resid_post", 0][:, :-1:2, 4]
    assert not torch.isclose(copied, prompts.ys[:, :-1].double(), atol=1e-2).all(1).any()
    assert not torch.isclose(twin(tokens), model(tokens), rtol=0.1).all()


@pytest.mark.parametrize(("n_pos", "pair"), [(3, 0), (5, 1), (19, 1), (21, 2), (125, 2), (127, 3), (789, 3)])
def test_the_fastest_channels_that_turn_by_less_than_half_are_read(n_pos, pair):
    """Rates 1, 0.158, 0.0251 and 0.00398 radians per token: half a turn is 3.14, 19.8, 125 and 789 tokens."""
    assert copying_frequency(n_pos) == pair


def test_as_many_points_as_single_precision_tells_apart_are_copied():
    model = interp.load("copy:dim=2,points=395")
    prompts = model.task.sample(1)
    _, cache = model.run_with_cache(model.tokens(prompts))
    assert torch.equal(cache["resid_post", 0][:, :-1:2, 2], prompts.ys[:, :-1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "copy:points=396",
            "Sinusoidal positions tell at most 789 tokens (395 points) apart in single precision, got 791; "
            "ask for fewer points.",
        ),
        ("copy:points=1,lr=1", "A construction needs at least one example before the query, got points=1."),
        ("copy:steps=2", "Unknown parameter of 'copy' 'steps'; known are dim, lr, noise_std, points."),
    ],
)
def test_a_copying_construction_that_cannot_be_built_is_refused(spec, message):
    with raises_exactly(ValueError, message):
        interp.load(spec)
