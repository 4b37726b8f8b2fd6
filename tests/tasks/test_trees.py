from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from interp.tasks import DecisionTrees, Prompts
from tests.errors import raises_exactly
from tests.tasks.means import SIGMAS, assert_mean

TASK = DecisionTrees(dim=4, n_points=12, depth=3)


def function_of(prompts: Prompts) -> torch.Tensor:
    assert prompts.function is not None
    return prompts.function


def answer(function: list[float], x: list[float], depth: int) -> float:
    """Walk down one tree with one input."""
    inner = 2**depth - 1
    node = 0
    while node < inner:
        node = 2 * node + (2 if x[int(function[node])] > 0 else 1)
    return function[node]


@given(dim=st.integers(1, 6), depth=st.integers(1, 5), seed=st.integers(0, 100))
def test_targets_are_the_leaves_that_a_walk_down_the_tree_ends_at(dim, depth, seed):
    prompts = DecisionTrees(dim=dim, n_points=8, depth=depth).sample(4, seed=seed)
    rows = zip(function_of(prompts).tolist(), prompts.xs.tolist(), strict=True)
    expected = torch.tensor([[answer(function, x, depth) for x in xs] for function, xs in rows])
    assert torch.equal(prompts.ys, expected)


@given(seed=st.integers(0, 100), scale=st.floats(0.01, 100))
def test_trees_are_piecewise_constant_and_depend_on_signs_alone(seed, scale):
    prompts = TASK.sample(3, seed=seed)
    function = function_of(prompts)
    moved = prompts.xs.sign() * scale * torch.rand(prompts.xs.shape).clamp(min=1e-6)
    assert torch.equal(TASK.evaluate(function, moved), prompts.ys)


def test_the_sign_of_the_coordinate_at_the_root_decides_between_the_halves_of_the_leaves():
    function = function_of(TASK.sample(50))
    leaves, root = function[:, 7:], function[:, 0].long()
    for positive in (False, True):
        xs = torch.randn(50, 20, 4)
        sides = torch.full((50, 20, 1), 1.0 if positive else -1.0)
        xs = xs.scatter(2, root[:, None, None].expand(-1, 20, 1), sides)
        half = leaves[:, 4:] if positive else leaves[:, :4]
        assert (TASK.evaluate(function, xs)[..., None] == half[:, None]).any(-1).all()


def test_an_input_of_0_goes_left():
    function = function_of(TASK.sample(5))
    assert torch.equal(TASK.evaluate(function, torch.zeros(5, 1, 4))[:, 0], function[:, 7])


def test_a_tree_whose_paths_ask_about_every_coordinate_has_every_leaf_at_one_orthant():
    """Level l asks about coordinate l: the leaves stand in the order of the signs, read as binary numbers."""
    values = torch.arange(8.0)
    function = torch.cat([torch.tensor([0.0, 1, 1, 2, 2, 2, 2]), values])[None]
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)))[None]
    assert torch.equal(DecisionTrees(dim=3, depth=3).evaluate(function, corners)[0], values)


def test_coordinates_are_uniform_and_leaves_standard_normal():
    function = function_of(TASK.sample(4000)).double()
    coordinates, leaves = function[:, :7], function[:, 7:]
    assert_close(coordinates, coordinates.round(), rtol=0, atol=0)
    shares = torch.stack([(coordinates == index).double().mean() for index in range(4)])
    tolerance = SIGMAS * (3 / 16 / coordinates.numel()) ** 0.5
    assert_close(shares, torch.full((4,), 0.25).double(), rtol=0, atol=tolerance)
    assert_mean(leaves, 0.0)
    assert_mean(leaves.square(), 1.0)
    assert_mean(leaves**4, 3.0)


def test_the_mean_square_of_targets_is_1():
    assert_mean(TASK.sample(20_000).ys[:, -1].square(), 1.0)


def test_the_published_size_is_the_default():
    task = DecisionTrees()
    assert (task.dim, task.n_points, task.depth, task.n_parameters) == (20, 101, 4, 31)


@pytest.mark.parametrize("depth", [0, 17])
def test_a_tree_has_a_depth_and_is_not_too_deep(depth):
    with raises_exactly(ValueError, f"`depth` must lie in 1..16 (a tree has 2^depth leaves), got {depth}."):
        DecisionTrees(depth=depth)
