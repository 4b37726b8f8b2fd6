import pytest
import sklearn.neighbors
import torch
from torch.testing import assert_close

from interp.solvers import NearestNeighbours, Regressions, Status
from interp.tasks import LinearRegression
from tests.errors import raises_exactly


@pytest.mark.parametrize("neighbours", [1, 3, 4])
def test_it_is_scikit_learns_regressor_at_every_prefix_with_enough_examples(xs, ys, neighbours):
    trace = NearestNeighbours(neighbours=neighbours).run(xs, ys, [1])
    theirs = sklearn.neighbors.KNeighborsRegressor(neighbours)
    for p in range(len(xs)):
        for t in range(neighbours, xs.shape[1]):
            expected = theirs.fit(xs[p, :t].numpy(), ys[p, :t].numpy()).predict(xs[p, t : t + 1].numpy())
            assert trace.predictions[0, p, t].item() == pytest.approx(expected.item(), rel=1e-12)
    assert trace.status is Status.CONVERGED


def test_it_is_scikit_learns_regressor_at_every_query_of_a_context():
    prompts = LinearRegression(dim=3, n_points=12).sample(4, seed=0, n_queries=5).to(dtype=torch.float64)
    found = NearestNeighbours().predict(Regressions.of(prompts), [1])[0]
    n = prompts.n_examples
    for p in range(4):
        theirs = sklearn.neighbors.KNeighborsRegressor(3).fit(prompts.xs[p, :n].numpy(), prompts.ys[p, :n].numpy())
        expected = torch.from_numpy(theirs.predict(prompts.xs[p, n:].numpy()))
        assert_close(found[p], expected)


def test_with_fewer_examples_than_neighbours_it_is_the_mean_of_those_there(xs, ys):
    predictions = NearestNeighbours(neighbours=5).run(xs, ys, [1]).predictions[0]
    for t in range(1, 6):
        assert_close(predictions[:, t], ys[:, :t].mean(1))


def test_more_neighbours_than_there_are_points_are_all_of_them(xs, ys):
    predictions = NearestNeighbours(neighbours=500).run(xs, ys, [1]).predictions[0]
    for t in range(1, xs.shape[1]):
        assert_close(predictions[:, t], ys[:, :t].mean(1))


def test_a_query_that_was_seen_before_gets_its_answer_from_one_neighbour(xs, ys):
    xs[:, -1] = xs[:, 3]
    predictions = NearestNeighbours(neighbours=1).run(xs, ys, [1]).predictions[0]
    assert torch.equal(predictions[:, -1], ys[:, 3])


def test_far_from_the_origin_neighbours_are_still_told_apart(xs, ys):
    near = NearestNeighbours().run(xs, ys, [1]).predictions
    assert torch.equal(NearestNeighbours().run(xs + 2.0**30, ys, [1]).predictions, near)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("neighbours", [0, 2.5])
def test_neighbours_are_a_count(neighbours):
    with raises_exactly(ValueError, f"k-NN needs at least 1 of `neighbours`, a whole number; got {neighbours}."):
        NearestNeighbours(neighbours=neighbours)
