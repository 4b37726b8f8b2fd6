import torch
from torch.testing import assert_close

from interp.solvers import MeanPredictor, Regressions, ZeroPredictor
from interp.tasks import LinearRegression


def test_zero_predicts_0(xs, ys):
    assert not ZeroPredictor().run(xs, ys, [1]).predictions.any()


def test_mean_predicts_the_mean_of_the_targets_before_each_point(xs, ys):
    predictions = MeanPredictor().run(xs, ys, [1]).predictions[0]
    assert_close(predictions[:, 0], torch.zeros_like(predictions[:, 0]))
    for t in range(1, xs.shape[1]):
        assert_close(predictions[:, t], ys[:, :t].mean(1))


def test_mean_predicts_the_same_for_all_queries_of_a_context():
    prompts = LinearRegression(dim=3, n_points=5).sample(4, n_queries=6)
    predictions = MeanPredictor().predict(Regressions.of(prompts), [1])[0]
    expected = prompts.ys[:, :4].double().mean(1, keepdim=True).expand(-1, 6)
    assert_close(predictions, expected)


def test_null_predictors_have_no_weights(xs, ys):
    for solver in (ZeroPredictor(), MeanPredictor()):
        assert not solver.run(xs, ys, [1]).weights.any()
