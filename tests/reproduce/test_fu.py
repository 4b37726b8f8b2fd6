"""What the figures of Fu et al. measure, on models and numbers of which the answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import interp
from interp.matching import GrowthLaw, LayerPredictions, effective_steps, make_family
from interp.reproduce import Lab, reproduce
from interp.reproduce.fu import (
    common,
    heatmaps,
    hidden_size,
    ill_conditioned,
    layers,
    lstm,
    noisy,
    quasi_newton,
    spectrum,
)
from interp.solvers import GradientDescent, Newton, OrdinaryLeastSquares, Regressions, Ridge
from interp.tasks import LinearRegression
from interp.training import get_recipe
from probes import Interval

STEPS = tuple(range(200))


@pytest.fixture(scope="module")
def newton():
    """Layer l >= 2 is Newton's step l - 2 from a constant start, which lies a few steps behind the published one."""
    return interp.load("newton:steps=10,dim=5")


@pytest.fixture(scope="module")
def on_newton(newton):
    return heatmaps.held_against(newton, newton.task.sample(192, seed=0))


@pytest.fixture(scope="module")
def descent():
    """Layer l is step l of gradient descent."""
    return interp.load("gd:steps=8,dim=5")


def lr_of(model):
    """The sum-normalised step of the layers of a construction of gradient descent."""
    return effective_steps(model)[0].eta_over_n


# Growth laws


def test_newton_written_as_weights_takes_one_step_more_with_every_layer_and_gd_grows_exponentially():
    alpha = 1e-3
    model = interp.load(f"newton:steps=6,dim=5,alpha={alpha}")
    prompts = model.task.sample(192, seed=0)
    own = make_family(Newton(scale="constant", alpha=alpha), many_prefixes=False)
    found = common.contests(model, prompts, [own, common.gd_family(prompts)])
    assert found["errors"].laws["gd"].law == "exponential"
    for of_measure in found.values():
        law = of_measure.laws["newton"]
        assert (law.law, law.layers, law.steps) == ("linear", (3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 5, 6))
        assert law.per_layer.estimate == pytest.approx(1.0, rel=0.02)


def test_on_newton_written_as_weights_growth_is_supported_and_three_steps_per_layer_refuted(on_newton):
    findings = {finding.id: finding for finding in heatmaps.findings_of([on_newton])}
    for name in ("errors.newton", "errors.gd", "weights.gd"):
        assert findings[f"fu-heatmaps.{name}"].verdict == "supported", name
    per_layer = findings["fu-heatmaps.per_layer"]
    assert per_layer.verdict == "refuted" and per_layer.estimate == pytest.approx(1.0, rel=0.02)


def test_on_gradient_descent_written_as_weights_its_steps_grow_linearly(descent):
    family = make_family(GradientDescent(lr=lr_of(descent), normalize="sum"), many_prefixes=False, steps=STEPS)
    law = common.contest(descent, descent.task.sample(64, seed=0), [family]).laws["gd"]
    assert law.steps == tuple(range(1, 9)) and law.law == "linear"
    claim = common.claim_law("fu-x.gd", "They grow exponentially", "exponential", [law], paper="")
    assert claim.verdict == "refuted"


def law_with(low, high):
    middle = Interval((low + high) / 2, low, high)
    return GrowthLaw("undecided", (1, 2, 3, 4), (1.0, 2.0, 3.0, 4.0), middle, middle, middle, "said so")


@pytest.mark.parametrize(
    ("law", "difference", "verdict"),
    [
        ("linear", (-9, -3), "supported"),
        ("linear", (-9, 1), "inconclusive"),
        ("linear", (-1, 1), "inconclusive"),  # neither law is better by 2
        ("linear", (3, 9), "refuted"),
        ("exponential", (3, 9), "supported"),
        ("exponential", (-9, -3), "refuted"),
    ],
)
def test_a_law_is_supported_or_refuted_only_where_the_criterion_is_decisive(law, difference, verdict):
    finding = common.claim_law("fu-x.law", "It grows", law, [law_with(*difference)], paper="")
    assert finding.verdict == verdict and "one run" in finding.reason


def test_a_law_over_several_seeds_has_their_interval():
    finding = common.claim_law("fu-x.law", "It grows", "linear", [law_with(-9, -7), law_with(-8, -6)], paper="")
    assert finding.estimate == -7.5 and finding.ci[0] < -13
    assert finding.details["per seed"] == [-8, -7] and "2 seeds" in finding.reason


def test_no_law_leaves_the_claim_open():
    nothing = law_with(math.nan, math.nan)
    assert common.claim_law("fu-x.law", "It grows", "linear", [nothing], paper="").reason == "said so"
    assert common.claim_law("fu-x.law", "It grows", "linear", [nothing], paper="").verdict == "inconclusive"


# Layers


def test_the_largest_ratio_is_that_of_the_layer_that_gains_least():
    rng = np.random.default_rng(0)
    errors = np.array([8.0, 8.0, 4.0, 3.0, 1.0])[:, None] * rng.uniform(0.9, 1.1, size=(1, 200))
    assert layers.largest_ratio(errors).estimate == pytest.approx(1.0)
    assert layers.first_improved(errors) == 2
    largest = layers.largest_ratio(errors, first=2)
    assert largest.estimate == pytest.approx(0.75) and largest.low <= 0.75 <= largest.high < 0.76
    assert math.isnan(layers.largest_ratio(errors, first=5).estimate)
    assert lstm.left_after(errors).estimate == pytest.approx(0.25)


def test_a_layer_that_errs_more_makes_the_ratio_exceed_one():
    errors = np.array([4.0, 1.0, 2.0])[:, None] * np.random.default_rng(0).uniform(0.5, 1.5, size=(3, 400))
    assert layers.largest_ratio(errors).low > 1.5


def test_errors_are_taken_where_the_examples_determine_the_weights():
    xs, ys = torch.randn(4, 16, 5), torch.randn(4, 16)
    found = LayerPredictions(torch.zeros(1, 4, 16, dtype=torch.float64), Regressions.every_prefix(xs, ys))
    assert found.n_examples[layers.determined(found)].tolist() == [6, 7, 8, 9, 10]
    np.testing.assert_allclose(layers.determined_errors(found)[0], ys[:, 6:11].double().square().mean(1))


# Ill-conditioned inputs


def test_a_quarter_of_the_step_takes_four_times_the_steps(descent):
    prompts = descent.task.sample(64, seed=0)
    one, other = (
        common.contest(
            descent,
            prompts,
            [make_family(GradientDescent(lr=lr_of(descent) / part, normalize="sum"), many_prefixes=False, steps=STEPS)],
        )
        for part in (4, 16)
    )
    ratio, counted = ill_conditioned.steps_ratio(one, other)
    assert counted == list(range(1, 9))
    assert ratio.estimate == pytest.approx(4.0, rel=0.1) and ratio.low > 3


def test_the_step_of_gd_shrinks_with_the_leading_eigenvalue():
    isotropic = get_recipe("garg-tiny").task.sample(256, seed=0)
    doubled = replace(isotropic, xs=2 * isotropic.xs)
    (own,), (scaled,) = common.gd_family(isotropic).templates, common.gd_family(doubled, isotropic).templates
    assert isinstance(own, GradientDescent) and isinstance(scaled, GradientDescent)
    assert own.lr == 0.02 and scaled.lr == pytest.approx(0.02 / 4)


def test_the_published_step_of_gd_is_taken_at_dim_20():
    (published,) = common.gd_family(LinearRegression(dim=20, n_points=41).sample(4)).templates
    assert published == GradientDescent(lr=0.01, normalize="sum")


# Noise


@pytest.mark.parametrize(("share", "ratio"), [(0.0, 0.0), (0.5, 1.0), (0.75, 9.0)])
def test_the_way_from_ridge_to_least_squares_is_measured_in_squares(share, ratio):
    task = LinearRegression(dim=3, n_points=9, noise_std=0.5)
    prompts = task.sample(16, seed=0)
    problems = Regressions.every_prefix(prompts.xs, prompts.ys)
    ridge = noisy.bayes_ridge(task)
    assert ridge == Ridge(alpha=0.25)
    near, far = (solver.predict(problems, (1,)) for solver in (ridge, OrdinaryLeastSquares()))
    found = LayerPredictions((1 - share) * near + share * far, problems)
    columns = found.n_examples >= 6
    assert noisy.ridge_to_ols(found, ridge, columns).estimate == pytest.approx(ratio, abs=1e-9)


# Families against each other


def test_a_difference_is_between_the_lower_of_ours_and_the_higher_of_theirs():
    ours, theirs = [np.full(8, 0.9), np.full(8, 0.8)], [np.full(8, 0.3), np.full(8, 0.5)]
    difference = common.difference(ours, theirs)
    assert (difference.estimate, difference.low, difference.high) == pytest.approx((0.3, 0.3, 0.3))


def test_the_lowest_of_several_layers_has_the_lowest_ends():
    values = np.random.default_rng(0).uniform(size=(3, 50)) + np.array([[0.0], [2.0], [1.0]])
    found = common.lowest(values)
    assert found.estimate == pytest.approx(values[0].mean())
    assert found.low < found.estimate < found.high < 1


def test_newton_written_as_weights_is_more_like_newton_than_conjugate_gradient(newton):
    found = common.contest(newton, newton.task.sample(64, seed=0), [common.newton_family(), "cg"])
    assert set(found.informed) <= set(range(3, 13)) and 12 in found.informed
    assert quasi_newton.margin(found, "newton", "cg").low > 0


def test_responses_tell_newton_from_gradient_descent_either_way(newton, descent):
    of_newton, of_descent = (spectrum.measured(model, model.task.sample(64, seed=0)) for model in (newton, descent))
    assert spectrum.ahead(of_newton, [7]).low > 0
    assert spectrum.ahead(of_descent, [2]).high < 0
    assert of_newton.explained[0, 3:].min() > 0.95 and of_descent.explained[0, 1:].min() > 0.95


def test_layers_that_know_nothing_have_no_number():
    twin = interp.load("untrained:lsa-1layer,seed=1")
    found = common.contest(twin, twin.task.sample(64, seed=0), [common.newton_family(), "cg"])
    assert found.informed == ()
    assert math.isnan(quasi_newton.margin(found, "newton", "cg").estimate)


# Whole figures


def test_one_run_is_enough_and_its_intervals_are_over_prompts(briefly, tmp_path):
    for name in ("garg-tiny", "garg-tiny-noisy"):
        (tmp_path / f"{name}-seed0").symlink_to(briefly / f"{name}-seed0")
    for figure in ("fu-layers", "fu-noisy"):
        result = reproduce(figure, Lab(quick=True, folder=tmp_path))
        assert [run["seed"] for run in result.runs] == [0]
        assert not any("per seed" in finding.details for finding in result.findings)
        if figure == "fu-layers":
            assert "interval over prompts (one run)" in result.findings[-1].reason


def test_a_figure_without_its_models_says_how_to_train_them(briefly, tmp_path):
    (tmp_path / "garg-tiny-seed0").symlink_to(briefly / "garg-tiny-seed0")
    with pytest.raises(
        ValueError,
        match=r"0 of 1 trained models of 'garg-tiny-lstm'.*`interp train garg-tiny-lstm --seed 0 --out .*lstm-seed0`",
    ):
        reproduce("fu-lstm", Lab(quick=True, folder=tmp_path))


def test_every_width_is_measured(briefly):
    result = reproduce("fu-hidden-size", Lab(quick=True, folder=briefly))
    assert sorted(set(result.table["x"])) == [4, 8, 16, 32, 64]
    narrow, enough, _ = result.findings
    assert "hidden size 4 errs" in narrow.claim and "hidden size 8 errs" in enough.claim
    assert hidden_size.MANY == 3.0


def test_a_heat_map_boxes_one_step_for_each_layer(on_newton):
    rows = heatmaps.heat_rows(on_newton, seed=0)
    boxes = rows[rows["boxed"]].groupby("panel")["y"]
    assert len(boxes) == 4 and all(sorted(layers) == list(range(13)) for _, layers in boxes)
    errors = rows[(rows["panel"] == "errors: newton") & rows["boxed"]].set_index("y")["x"]
    assert (errors.loc[6:].astype(int).diff().dropna() == 1).all()
