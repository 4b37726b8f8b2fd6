import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.tasks import Prompts, ReluNetworks
from tests.errors import raises_exactly
from tests.tasks.means import SIGMAS, assert_mean

TASK = ReluNetworks(dim=4, n_points=3, hidden=6)


def function_of(prompts: Prompts) -> torch.Tensor:
    assert prompts.function is not None
    return prompts.function


@given(dim=st.integers(1, 5), hidden=st.integers(1, 8), seed=st.integers(0, 100))
def test_targets_are_the_sum_over_units_one_number_at_a_time(dim, hidden, seed):
    prompts = ReluNetworks(dim=dim, n_points=3, hidden=hidden).sample(2, seed=seed)
    for xs, ys, function in zip(prompts.xs.double(), prompts.ys, function_of(prompts).double(), strict=True):
        units = [(function[: dim * hidden][unit::hidden], function[dim * hidden + unit]) for unit in range(hidden)]
        for x, y in zip(xs, ys, strict=True):
            expected = math.sqrt(2 / hidden) * sum(a * max(0.0, float(w @ x)) for w, a in units)
            assert_close(y.double(), torch.as_tensor(expected).double(), rtol=1e-5, atol=1e-5)


@given(factor=st.floats(0, 100), seed=st.integers(0, 100))
def test_networks_are_homogeneous(factor, seed):
    prompts = TASK.sample(3, seed=seed)
    function, xs = function_of(prompts).double(), prompts.xs.double()
    assert_close(TASK.evaluate(function, factor * xs), factor * TASK.evaluate(function, xs))


def test_networks_are_not_linear():
    """f(x) + f(-x) is 0 for a linear function; here it is the sum of a |w . x|."""
    prompts = TASK.sample(200)
    function = function_of(prompts)
    even = TASK.evaluate(function, prompts.xs) + TASK.evaluate(function, -prompts.xs)
    assert even.abs().median() > 0.5


def test_the_mean_square_of_the_output_is_the_squared_norm_of_the_input():
    task = ReluNetworks(dim=5, n_points=1, hidden=10)
    prompts = task.sample(20_000)
    assert_mean(prompts.ys[:, -1].square() - prompts.xs[:, -1].square().sum(-1), 0.0)
    assert_mean(prompts.ys[:, -1], 0.0)
    same = torch.tensor([3.0, 0, 0, 4.0, 0]).expand(20_000, 1, 5)
    assert_mean(task.evaluate(function_of(prompts), same).square(), 25.0)


def test_weights_are_standard_normal_and_their_layers_independent():
    function = function_of(ReluNetworks(dim=1, n_points=1, hidden=1).sample(20_000))
    for column in function.T:
        assert_mean(column, 0.0)
        assert_mean(column.square(), 1.0)
        assert_mean(column**4, 3.0)
    assert abs(torch.corrcoef(function.T)[0, 1]) < SIGMAS / len(function) ** 0.5


def test_the_published_size_is_the_default():
    task = ReluNetworks()
    assert (task.dim, task.n_points, task.hidden, task.n_parameters) == (20, 101, 100, 2100)


def test_there_is_at_least_one_hidden_unit():
    with raises_exactly(ValueError, "`hidden` must be at least 1, got 0."):
        ReluNetworks(hidden=0)
