import numpy as np
import pytest
import sklearn.metrics
import torch
from torch.testing import assert_close

from probes import cosine_score, normalised_mse, r2_score
from tests.errors import raises_exactly

GENERATOR = torch.Generator().manual_seed(0)
TARGETS = torch.randn(30, 6, 3, generator=GENERATOR, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.2]) + 2
PREDICTIONS = TARGETS + torch.randn(TARGETS.shape, generator=GENERATOR, dtype=torch.float64)


def test_r2_is_scikit_learns_weighted_by_variance():
    flat = [values.flatten(0, 1).numpy() for values in (TARGETS, PREDICTIONS)]
    expected = sklearn.metrics.r2_score(*flat, multioutput="variance_weighted")
    assert r2_score(PREDICTIONS, TARGETS).estimate == pytest.approx(expected, rel=1e-12)


def test_r2_of_one_target_is_scikit_learns():
    expected = sklearn.metrics.r2_score(TARGETS[..., 0].flatten(), PREDICTIONS[..., 0].flatten())
    assert r2_score(PREDICTIONS[..., :1], TARGETS[..., :1]).estimate == pytest.approx(expected, rel=1e-12)


def test_r2_is_1_minus_the_normalised_error_interval_and_all():
    error, r2 = normalised_mse(PREDICTIONS, TARGETS), r2_score(PREDICTIONS, TARGETS)
    assert (r2.estimate, r2.low, r2.high) == (1 - error.estimate, 1 - error.high, 1 - error.low)
    assert r2.low < r2.estimate < r2.high


def test_perfect_predictions_score_1_and_the_mean_scores_0():
    mean = TARGETS.flatten(0, 1).mean(0).expand_as(TARGETS)
    assert r2_score(TARGETS, TARGETS).estimate == 1
    assert r2_score(mean, TARGETS).estimate == pytest.approx(0, abs=1e-12)


def test_the_cosine_is_that_of_each_prompts_own_vectors():
    expected = [
        np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in zip(PREDICTIONS.flatten(1).numpy(), TARGETS.flatten(1).numpy(), strict=True)
    ]
    assert cosine_score(PREDICTIONS, TARGETS).estimate == pytest.approx(np.mean(expected), rel=1e-12)


def test_the_cosine_is_blind_to_each_prompts_scale():
    scales = torch.linspace(0.1, 9, 30)[:, None, None]
    assert cosine_score(scales * TARGETS, TARGETS).estimate == pytest.approx(1)
    assert cosine_score(-TARGETS, TARGETS).estimate == pytest.approx(-1)


def test_a_prompt_that_predicts_exactly_0_counts_as_0():
    predictions = TARGETS.clone()
    predictions[:15] = 0
    assert cosine_score(predictions, TARGETS).estimate == pytest.approx(0.5)


def test_scores_leave_the_graph_behind():
    predictions = PREDICTIONS.clone().requires_grad_()
    assert_close(r2_score(predictions, TARGETS).estimate, r2_score(PREDICTIONS, TARGETS).estimate)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("score", [normalised_mse, r2_score, cosine_score])
@pytest.mark.parametrize(("predictions", "targets"), [((4, 2), (4, 3)), ((4,), (4,))], ids=str)
def test_predictions_and_targets_must_have_one_shape(score, predictions, targets):
    with raises_exactly(
        ValueError,
        f"`predictions` and `targets` must have one shape [prompt ... target], got {predictions} and {targets}.",
    ):
        score(torch.zeros(predictions), torch.zeros(targets))


@pytest.mark.parametrize("score", [normalised_mse, r2_score])
def test_constant_targets_have_no_variance_to_explain(score):
    with raises_exactly(
        ValueError,
        "The ratio is undefined: its denominator is 0 over all prompts (a constant target, perhaps).",
    ):
        score(torch.ones(5, 3, 1), torch.full((5, 3, 1), 2.0))
