import torch
from torch.testing import assert_close

from interp.solvers import Averaging, GradientDescent, Regressions, Status
from interp.tasks import Prompts
from tests.errors import raises_exactly


def test_it_is_the_mean_of_y_x_over_the_examples_before_each_point(xs, ys):
    weights = Averaging().run(xs, ys, [1]).weights[0]
    for t in range(1, xs.shape[1]):
        assert_close(weights[:, t], (ys[:, :t, None] * xs[:, :t]).mean(1))


def test_it_is_one_mean_normalised_gradient_step_of_size_scale(xs, ys):
    for scale in (1.0, 0.3, 6.06):
        step = GradientDescent(lr=scale).run(xs, ys, [1])
        found = Averaging(scale=scale).run(xs, ys, [1])
        assert_close(found.weights, step.weights)
        assert found.status is Status.CONVERGED


def test_over_many_isotropic_inputs_it_finds_the_weights():
    """Its error has variance of order (dim + 1) |w|^2 / n."""
    xs = torch.randn(2, 200_001, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    found = Averaging().trace(Regressions.of(Prompts(xs=xs, ys=xs @ w)), [1]).weights[0, :, 0]
    assert_close(found, w.expand(2, 3), rtol=0, atol=5 * (4 * 5.25 / 200_000) ** 0.5)


def test_a_scale_of_0_is_refused():
    with raises_exactly(ValueError, "Averaging needs a `scale` other than 0; the solver that predicts 0 is 'zero'."):
        Averaging(scale=0.0)
