import numpy as np
import pytest
import sklearn.linear_model
import torch
from torch.testing import assert_close

from interp.solvers import OrdinaryLeastSquares, Ridge, Status
from tests.errors import raises_exactly


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
def test_it_is_scikit_learns_ridge_without_intercept_at_every_prefix(xs, ys, alpha):
    trace = Ridge(alpha=alpha).run(xs, ys, [1])
    theirs = sklearn.linear_model.Ridge(alpha=alpha, fit_intercept=False)
    for p in range(len(xs)):
        for t in range(1, xs.shape[1]):
            expected = theirs.fit(xs[p, :t].numpy(), ys[p, :t].numpy()).coef_
            np.testing.assert_allclose(trace.weights[0, p, t].numpy(), expected, rtol=1e-8, atol=1e-11)
    assert torch.equal(trace.weights[0, :, 0], torch.zeros_like(trace.weights[0, :, 0]))
    assert trace.status is Status.CONVERGED


def test_without_penalty_it_is_least_squares(xs, ys):
    assert_close(Ridge(alpha=0.0).run(xs, ys, [1]).weights, OrdinaryLeastSquares().run(xs, ys, [1]).weights)


def test_a_negative_penalty_is_refused():
    with raises_exactly(ValueError, "Ridge needs a penalty `alpha` of at least 0, got -1.0."):
        Ridge(alpha=-1.0)
