from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import sklearn.linear_model
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from probes import LayerwiseRidge, LinearProbes, PromptwiseRidge, fit_on_prompts
from tests.errors import raises_exactly

ALPHAS = [1e-3, 0.1, 1.0, 30.0, 1e3]


def noisy_problem(
    n: int = 60, *, layers: int = 3, d_model: int = 7, targets: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Features of several layers, and targets that depend on each a little and on noise."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(layers, n, d_model, generator=generator, dtype=torch.float64) + 0.5
    weight = torch.randn(layers, d_model, targets, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, targets, generator=generator, dtype=torch.float64)
    return features, torch.einsum("lsd,ldt->st", features, weight) + 3 * noise - 1


def fitted(
    features: Tensor,
    targets: Tensor,
    alphas: Sequence[float] | None,
    held_out: tuple[Tensor, Tensor] | None = None,
    batches: int = 1,
) -> LinearProbes:
    fitter = LayerwiseRidge(alphas)
    for x, y in zip(features.chunk(batches, dim=1), targets.chunk(batches), strict=True):
        fitter.update(x, y)
    if held_out is not None:
        fitter.update(*held_out, held_out=True)
    return fitter.probes()


@pytest.mark.parametrize("batches", [1, 7])
@pytest.mark.parametrize("alpha", [0.0, *ALPHAS])
def test_every_layers_probe_is_scikit_learns_ridge(alpha, batches):
    features, targets = noisy_problem()
    probes = fitted(features, targets, [alpha], batches=batches)
    for layer, x in enumerate(features.numpy()):
        theirs = sklearn.linear_model.Ridge(alpha=alpha).fit(x, targets.numpy())
        np.testing.assert_allclose(probes.weight[layer].numpy(), theirs.coef_.T, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(probes.bias[layer].numpy(), theirs.intercept_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(probes(features)[layer].numpy(), theirs.predict(x), rtol=1e-6, atol=1e-9)


@given(cuts=st.lists(st.integers(0, 40), max_size=6), alpha=st.sampled_from(ALPHAS))
def test_any_split_into_batches_gives_the_same_probes(cuts, alpha):
    features, targets = noisy_problem(40)
    whole = fitted(features, targets, [alpha])
    fitter = LayerwiseRidge([alpha])
    edges = [0, *sorted(cuts), 40]  # empty batches included
    for start, stop in pairwise(edges):
        fitter.update(features[:, start:stop], targets[start:stop])
    streamed = fitter.probes()
    assert_close(streamed.weight, whole.weight, rtol=1e-10, atol=1e-12)
    assert_close(streamed.bias, whole.bias, rtol=1e-10, atol=1e-12)


@given(cuts=st.lists(st.integers(1, 29), max_size=4))
def test_any_split_of_the_held_out_samples_chooses_the_same_penalties(cuts):
    features, targets = noisy_problem(60)
    whole = fitted(features[:, :30], targets[:30], ALPHAS, held_out=(features[:, 30:], targets[30:]))
    fitter = LayerwiseRidge(ALPHAS)
    fitter.update(features[:, :30], targets[:30])
    edges = [30, *(30 + cut for cut in sorted(cuts)), 60]
    for start, stop in pairwise(edges):
        fitter.update(features[:, start:stop], targets[start:stop], held_out=True)
    assert torch.equal(fitter.probes().alpha, whole.alpha)


@pytest.mark.parametrize("seed", range(5))
def test_the_penalty_kept_is_the_one_whose_refitted_probe_errs_least_on_the_held_out_samples(seed):
    features, targets = noisy_problem(50, d_model=20, seed=seed)
    scale = torch.tensor([1.0, 100.0])  # the errors of a target count relative to its own spread
    targets = targets * scale
    x, y, held_x, held_y = features[:, :25], targets[:25], features[:, 25:], targets[25:]
    probes = fitted(x, y, ALPHAS, held_out=(held_x, held_y))
    spread = (held_y - y.mean(0)).square().sum(0).numpy()
    for layer in range(3):
        errors = []
        for alpha in ALPHAS:
            theirs = sklearn.linear_model.Ridge(alpha=alpha).fit(x[layer].numpy(), y.numpy())
            residual = theirs.predict(held_x[layer].numpy()) - held_y.numpy()
            errors.append(((residual**2).sum(0) / spread).mean())
        assert probes.alpha[layer].item() == ALPHAS[int(np.argmin(errors))]


def test_held_out_samples_do_not_enter_the_fit():
    features, targets = noisy_problem(40)
    alone = fitted(features[:, :20], targets[:20], [1.0])
    beside = fitted(features[:, :20], targets[:20], [1.0], held_out=(features[:, 20:] * 9, targets[20:] + 5))
    assert_close(alone.weight, beside.weight)


def test_each_layer_chooses_for_itself():
    """One layer holds the target exactly, the other nothing but noise."""
    generator = torch.Generator().manual_seed(0)
    signal, noise = torch.randn(2, 200, 10, generator=generator, dtype=torch.float64)
    targets = signal[:, :1].clone()
    features = torch.stack([signal, noise])
    probes = fitted(features[:, :100], targets[:100], ALPHAS, held_out=(features[:, 100:], targets[100:]))
    assert probes.alpha.tolist() == [min(ALPHAS), max(ALPHAS)]


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_a_large_common_offset_costs_no_accuracy(offset):
    """Moments about the mean keep in double precision what raw second moments of size 1e12 would lose."""
    features, targets = noisy_problem()
    plain, shifted = (fitted(features + shift, targets, [1.0], batches=6) for shift in (0.0, offset))
    assert_close(shifted.weight, plain.weight, rtol=1e-6, atol=1e-8)
    assert_close(shifted(features + offset), plain(features), rtol=1e-6, atol=1e-6)


def test_single_precision_features_are_summed_in_double_precision():
    features, targets = noisy_problem(4000)
    single = fitted(features.float(), targets.float(), [1e-6], batches=4)
    exact = fitted(features.float().double(), targets.float().double(), [1e-6])
    assert single.weight.dtype == torch.float64
    assert_close(single.weight, exact.weight, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_default_penalties_follow_the_scale_of_the_features(factor):
    features, targets = noisy_problem()
    held_out = features[:, 40:], targets[40:]
    plain = fitted(features[:, :40], targets[:40], None, held_out=held_out)
    scaled = fitted(factor * features[:, :40], targets[:40], None, held_out=(factor * held_out[0], held_out[1]))
    assert_close(scaled(factor * features), plain(features), rtol=1e-9, atol=1e-9)


def test_more_coordinates_than_samples_and_copies_of_a_coordinate_are_no_trouble():
    features, targets = noisy_problem(10, d_model=30)
    features = torch.cat([features, features[..., :5]], dim=-1)
    interpolating = fitted(features, targets, [0.0])
    assert_close(interpolating(features), targets.expand(3, -1, -1), rtol=1e-9, atol=1e-9)
    centred = features - features.mean(1, keepdim=True)
    minimum_norm = torch.linalg.pinv(centred, rtol=1e-10) @ (targets - targets.mean(0))
    assert_close(interpolating.weight, minimum_norm, rtol=1e-8, atol=1e-8)


def test_features_that_never_change_are_read_as_the_mean_of_the_targets():
    features, targets = noisy_problem(20)
    probes = fitted(torch.full_like(features, 4.0), targets, None, held_out=(features, targets))
    assert not probes.weight.any()
    assert_close(probes.bias, targets.mean(0).expand(3, -1))


def test_reading_one_layer_is_reading_all_of_them():
    features, targets = noisy_problem(20)
    probes = fitted(features, targets, [1.0])
    together = probes(features)
    for layer in range(3):
        assert_close(probes.read(layer, features[layer]), together[layer])
        assert_close(probes.read(layer, features[layer].view(4, 5, 7)), together[layer].view(4, 5, 2))
    assert_close(probes(features.view(3, 4, 5, 7)), together.view(3, 4, 5, 2))


def test_fitting_on_prompts_holds_the_last_share_of_them_out():
    features, targets = noisy_problem(80)
    by_prompt = features.unflatten(1, (20, 4)), targets.unflatten(0, (20, 4))
    probes = fit_on_prompts(*by_prompt, alphas=ALPHAS, held_out_share=0.3)
    expected = fitted(features[:, :56], targets[:56], ALPHAS, held_out=(features[:, 56:], targets[56:]))
    assert_close(probes.weight, expected.weight)
    assert torch.equal(probes.alpha, expected.alpha)


@given(cuts=st.lists(st.integers(0, 20), max_size=5))
def test_prompts_may_come_in_any_batches(cuts):
    features, targets = noisy_problem(80)
    by_prompt = features.unflatten(1, (20, 4)), targets.unflatten(0, (20, 4))
    whole = fit_on_prompts(*by_prompt, alphas=ALPHAS)
    fitter = PromptwiseRidge(20, ALPHAS)
    for start, stop in pairwise([0, *sorted(cuts), 20]):
        fitter.update(by_prompt[0][:, start:stop], by_prompt[1][start:stop])
    assert torch.equal(fitter.probes().alpha, whole.alpha)
    assert_close(fitter.probes().weight, whole.weight, rtol=1e-10, atol=1e-12)


def test_prompts_are_as_many_as_were_announced():
    features, targets = noisy_problem(80)
    by_prompt = features.unflatten(1, (20, 4)), targets.unflatten(0, (20, 4))
    fitter = PromptwiseRidge(22, ALPHAS)
    fitter.update(*by_prompt)
    with raises_exactly(ValueError, "Expected 22 prompts, got 20 of them; add the others first."):
        fitter.probes()
    with raises_exactly(ValueError, "Expected 22 prompts, got 40 of them; announce as many as come."):
        fitter.update(*by_prompt)


def test_one_group_of_targets_is_read_as_if_it_had_been_given_alone():
    features, targets = noisy_problem(80, targets=5)
    together = LayerwiseRidge(ALPHAS)
    for group in (slice(0, 2), slice(2, 5)):
        alone = LayerwiseRidge(ALPHAS)
        for part, held_out in ((slice(0, 60), False), (slice(60, 80), True)):
            alone.update(features[:, part], targets[part, group], held_out=held_out)
            if group.start == 0:
                together.update(features[:, part], targets[part], held_out=held_out)
        assert torch.equal(together.probes(group).alpha, alone.probes().alpha)
        assert_close(together.probes(group).weight, alone.probes().weight)
        assert_close(together.probes(group).bias, alone.probes().bias)


def test_features_may_still_be_part_of_a_graph():
    features, targets = noisy_problem(20)
    assert not fitted(features.requires_grad_(), targets, [1.0]).weight.requires_grad


@pytest.mark.parametrize("alphas", [[], [1.0, -0.5]], ids=str)
def test_penalties_are_not_negative(alphas):
    with raises_exactly(ValueError, f"`alphas` needs at least one penalty, all from 0 up; got {alphas}."):
        LayerwiseRidge(alphas)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("features", "targets"), [((3, 5, 7), (4, 2)), ((5, 7), (5, 2)), ((3, 5, 7), (5,))], ids=str)
def test_features_and_targets_that_do_not_fit_each_other_are_refused(features, targets):
    with raises_exactly(
        ValueError,
        "Expected features [layer sample d_model] and targets [sample target] with as many samples, got "
        f"{features} and {targets}.",
    ):
        LayerwiseRidge().update(torch.zeros(features), torch.zeros(targets))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("where", [0, 1])
def test_samples_that_are_not_finite_are_refused(bad, where):
    problem = noisy_problem(20)
    problem[where].view(-1)[3] = bad
    with raises_exactly(
        ValueError,
        "Features and targets must be finite; got NaN or infinity. Drop the samples that hold them.",
    ):
        LayerwiseRidge().update(*problem)


def test_batches_must_agree_with_each_other():
    fitter = LayerwiseRidge([1.0])
    fitter.update(*noisy_problem(20))
    with raises_exactly(
        ValueError,
        "This batch has [layer d_model] = (2, 7) and 2 targets; the batches before had (3, 7) and 2.",
    ):
        fitter.update(*noisy_problem(20, layers=2))


@pytest.mark.parametrize("n", [0, 1])
def test_a_fit_needs_two_samples(n):
    fitter = LayerwiseRidge([1.0])
    fitter.update(*noisy_problem(1)) if n else None
    with raises_exactly(ValueError, f"A readout needs at least 2 samples to fit, got {n}; call update() first."):
        fitter.probes()


def test_a_choice_needs_held_out_samples():
    fitter = LayerwiseRidge(ALPHAS)
    fitter.update(*noisy_problem(20))
    with raises_exactly(
        ValueError,
        "Choosing among 5 penalties needs held-out samples, got 0; "
        "call update(..., held_out=True), or give a single alpha.",
    ):
        fitter.probes()


@pytest.mark.usefixtures("unchecked")
def test_probes_read_as_many_layers_as_they_were_fitted_to():
    probes = LinearProbes(weight=torch.zeros(3, 7, 2), bias=torch.zeros(3, 2), alpha=torch.zeros(3))
    with raises_exactly(ValueError, "These probes read 3 layers, got features of 2."):
        probes(torch.zeros(2, 5, 7))


@pytest.mark.parametrize(("n_prompts", "share"), [(1, 0.25), (10, 0.0), (10, 1.0)])
def test_both_sides_of_the_split_need_prompts(n_prompts, share):
    features, targets = noisy_problem(4 * n_prompts)
    with raises_exactly(
        ValueError,
        f"Holding out {share:.0%} of {n_prompts} prompts leaves one side of the split empty; give more prompts.",
    ):
        fit_on_prompts(
            features.unflatten(1, (n_prompts, 4)), targets.unflatten(0, (n_prompts, 4)), held_out_share=share
        )
