import numpy as np
import pytest
import torch
from torch.testing import assert_close

from interp.matching import prediction_r2, similarity_of_errors, similarity_of_weights


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LAYERS, ITERATES, TARGETS = random(3, 5, 7, seed=1), random(4, 5, 7, seed=2), random(5, 7, seed=3)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    x, y = a.numpy(), b.numpy()
    return float(np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y))


def test_the_similarity_of_errors_is_the_cosine_of_each_prompts_errors():
    found = similarity_of_errors(LAYERS, ITERATES, TARGETS).numpy()
    for layer in range(3):
        for step in range(4):
            for prompt in range(5):
                expected = cosine(LAYERS[layer, prompt] - TARGETS[prompt], ITERATES[step, prompt] - TARGETS[prompt])
                assert found[layer, step, prompt] == pytest.approx(expected, rel=1e-12)


def test_errors_right_up_to_a_positive_factor_score_1_and_to_a_negative_one_minus_1():
    for factor in (1e-3, 50.0, -2.0):
        scaled = TARGETS + factor * (LAYERS - TARGETS)
        found = similarity_of_errors(LAYERS, scaled, TARGETS).diagonal()  # layer l against its own scaled errors
        assert_close(found, torch.full((5, 3), float(np.sign(factor)), dtype=torch.float64))


def test_a_layer_that_predicts_0_is_one_with_the_zero_predictor():
    zero = torch.zeros(1, 5, 7, dtype=torch.float64)
    assert_close(similarity_of_errors(zero, zero, TARGETS), torch.ones(1, 1, 5, dtype=torch.float64))


def test_two_predictions_without_error_agree_and_one_without_differs_from_one_with():
    layers, iterates = torch.stack([TARGETS, LAYERS[0]]), torch.stack([TARGETS, ITERATES[0]])
    found = similarity_of_errors(layers, iterates, TARGETS)
    assert torch.equal(found[0, 0], torch.ones(5, dtype=torch.float64))
    assert not found[0, 1].any()
    assert not found[1, 0].any()
    assert found[1, 1].all()


def test_errors_at_the_rounding_of_single_precision_count_as_none():
    """Their direction is noise: two exact predictions would otherwise score anything."""
    noise = [TARGETS * (1 + 1e-7 * random(5, 7, seed=seed)) for seed in (8, 9)]
    found = similarity_of_errors(noise[0][None], noise[1][None], TARGETS)
    assert torch.equal(found, torch.ones_like(found))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_iterates_that_are_not_finite_score_nan_and_touch_no_other(bad):
    diverged = ITERATES.clone()
    diverged[2, 3, 4] = bad
    found, expected = (similarity_of_errors(LAYERS, iterates, TARGETS) for iterates in (diverged, ITERATES))
    assert found[:, 2, 3].isnan().all()
    expected[:, 2, 3] = torch.nan
    assert_close(found, expected, equal_nan=True)


def test_the_similarity_of_weights_is_the_mean_cosine_over_prefixes():
    layers, iterates = random(2, 3, 4, 5, seed=1), random(6, 3, 4, 5, seed=2)
    found = similarity_of_weights(layers, iterates).numpy()
    for layer in range(2):
        for step in range(6):
            for prompt in range(3):
                cosines = [cosine(layers[layer, prompt, t], iterates[step, prompt, t]) for t in range(4)]
                assert found[layer, step, prompt] == pytest.approx(np.mean(cosines), rel=1e-12)


def test_weights_of_exactly_0_have_no_direction_and_score_0():
    layers = random(1, 3, 2, 5)
    assert not similarity_of_weights(layers, torch.zeros_like(layers)).any()
    half = layers.clone()
    half[:, :, 0] = 0
    assert_close(similarity_of_weights(layers, half), torch.full((1, 1, 3), 0.5, dtype=torch.float64))


def test_r2_is_the_share_of_the_layers_own_variance():
    residual, total = prediction_r2(LAYERS, ITERATES)
    for layer in range(3):
        answers = LAYERS[layer].numpy()
        np.testing.assert_allclose(total[layer], ((answers - answers.mean()) ** 2).sum(1), rtol=1e-12)
        for step in range(4):
            expected = ((answers - ITERATES[step].numpy()) ** 2).sum(1)
            np.testing.assert_allclose(residual[layer, step], expected, rtol=1e-12)


def test_r2_does_not_ignore_scale():
    residual, total = prediction_r2(LAYERS, 2 * LAYERS)
    r2 = 1 - residual.diagonal().sum(0) / total.sum(1)
    assert (r2 < 0.1).all()
    residual, _ = prediction_r2(LAYERS, LAYERS)
    assert_close(residual.diagonal(), torch.zeros(5, 3, dtype=torch.float64), rtol=0, atol=1e-13)


def test_iterates_of_no_finite_norm_score_no_number():
    """Also beside a layer without error, which scores 0 with every finite one."""
    layers = torch.stack([LAYERS[0], TARGETS])
    iterates = torch.stack([ITERATES[0] * factor for factor in (1.0, torch.nan, torch.inf, 1e200)])
    found = similarity_of_errors(layers, iterates, TARGETS)
    assert found[:, 0].isfinite().all()
    assert found[:, 1:].isnan().all()
    weights = similarity_of_weights(random(1, 5, 2, 3, seed=1), random(1, 5, 2, 3, seed=2) * 1e200)
    assert weights.isnan().all()
