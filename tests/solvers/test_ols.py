import torch
from torch.testing import assert_close

from interp.solvers import OrdinaryLeastSquares, Status
from tests.solvers import explicit


def test_it_is_the_least_squares_solution_of_minimum_norm_at_every_prefix(xs, ys):
    trace = OrdinaryLeastSquares().run(xs, ys, [1])
    expected = explicit.every_prefix(xs, ys, explicit.least_squares)
    assert_close(trace.weights[0], expected, rtol=1e-8, atol=1e-10)
    assert_close(trace.predictions[0], explicit.predictions_of(expected, xs), rtol=1e-8, atol=1e-10)
    assert trace.status is Status.CONVERGED


def test_it_is_the_pseudoinverse_times_the_targets(xs, ys):
    weights = OrdinaryLeastSquares().run(xs, ys, [1]).weights[0]
    for t in range(xs.shape[1]):
        pseudoinverse = torch.linalg.pinv(xs[:, :t]) if t else xs.new_zeros(len(xs), 4, 0)
        assert_close(weights[:, t], (pseudoinverse @ ys[:, :t, None])[..., 0], rtol=1e-8, atol=1e-10)


def test_with_fewer_examples_than_coordinates_it_interpolates(xs, ys):
    weights = OrdinaryLeastSquares().run(xs, ys, [1]).weights[0]
    for t in range(1, 5):
        assert_close(torch.einsum("ptd,pd->pt", xs[:, :t], weights[:, t]), ys[:, :t], rtol=1e-8, atol=1e-8)


def test_repeated_examples_do_not_turn_rounding_noise_into_signal(xs, ys):
    """Six copies of one example determine one direction alone; the others stay exactly out of it."""
    repeated_xs = xs[:, :1].expand(-1, 7, -1)
    repeated_ys = ys[:, :1].expand(-1, 7)
    weights = OrdinaryLeastSquares().run(repeated_xs, repeated_ys, [1]).weights[0, :, -1]
    x = xs[:, 0]
    assert_close(weights, x * (ys[:, :1] / x.square().sum(1, keepdim=True)), rtol=1e-10, atol=1e-12)
