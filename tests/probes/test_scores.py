from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from probes import (
    ResampledSums,
    Spread,
    cosine_score,
    normalised_mse,
    prompt_cosines,
    prompt_errors,
    r2_score,
    resampled_means,
    resampling_weights,
)
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


@given(cuts=st.lists(st.integers(0, 12), max_size=4), offset=st.sampled_from([0.0, 1.0, 1e6]))
def test_the_spread_about_a_mean_known_only_at_the_end_is_that_about_the_mean(cuts, offset):
    values = torch.randn(12, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + offset
    spread, sums = Spread(), ResampledSums(12)
    for start, stop in pairwise([0, *sorted(cuts), 12]):
        if stop > start:
            sums.add(spread.terms(values[start:stop]))
    found = spread.about_mean(sums.means())
    by_prompt = (values - values.mean((0, 1))).square().sum(1).numpy()  # [prompt target]
    np.testing.assert_allclose(found.mean, by_prompt.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found.resampled, resampling_weights(12) @ by_prompt, rtol=1e-9)


@pytest.mark.parametrize("value", [0.1, 1e6 / 3])
def test_values_that_never_change_have_no_spread_at_all(value):
    spread = Spread()
    terms = spread.terms(torch.full((7, 3, 2), value, dtype=torch.float64))
    assert not spread.about_mean(resampled_means(terms)).mean.any()


def test_scores_are_made_of_the_scores_of_each_prompt():
    predictions, targets = torch.randn(2, 9, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    cosines = prompt_cosines(predictions, targets)
    assert cosine_score(predictions, targets).estimate == pytest.approx(cosines.mean().item())
    total = (targets - targets.mean((0, 1))).square().sum().item()
    expected = prompt_errors(predictions, targets).sum().item() / total
    assert normalised_mse(predictions, targets).estimate == pytest.approx(expected)
