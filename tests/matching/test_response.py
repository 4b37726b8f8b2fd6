"""Spectral responses against the scalar functions that are theorems of each solver."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pandas.testing import assert_frame_equal

import interp
from interp.matching import EigenvalueBins, ResponseSums, response_table, sensitivities, similarity_of_responses
from interp.matching.readouts import problems_of
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly

EIGENVALUES = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problems_with(eigenvalues: torch.Tensor, n_prompts: int = 8, n_examples: int = 7) -> Regressions:
    """One prefix each, whose ``X^T X`` has exactly these eigenvalues, in directions of its own."""
    dim = len(eigenvalues)
    rows, _ = torch.linalg.qr(gaussian(0, n_prompts, n_examples, dim))
    axes, _ = torch.linalg.qr(gaussian(1, n_prompts, dim, dim))
    X = rows * eigenvalues.sqrt() @ axes.mT
    xs = torch.cat([X, gaussian(2, n_prompts, 1, dim)], dim=1)
    return Regressions.of(Prompts(xs=xs, ys=gaussian(3, n_prompts, n_examples + 1)))


@pytest.fixture(scope="module")
def known():
    """Problems of four known eigenvalues, and a bin for each of them."""
    problems = problems_with(EIGENVALUES)
    return problems, EigenvalueBins.of(problems.spectrum, n_bins=4)


def newton_share(eigenvalues: np.ndarray, steps: int, alpha: float) -> np.ndarray:
    p = alpha * eigenvalues
    for _ in range(steps):
        p = 2 * p - eigenvalues * p**2
    return eigenvalues * p


LAWS = {
    "gd": (
        make_solver("gd", lr=0.2, normalize="sum"),
        lambda values, k: 1 - (1 - 0.2 * values) ** k,
    ),
    "newton": (
        make_solver("newton", scale="constant", alpha=0.05),
        lambda values, k: newton_share(values, k, 0.05),
    ),
    "ridge": (make_solver("ridge", alpha=0.7), lambda values, k: values / (values + 0.7)),
    "ols": (make_solver("ols"), lambda values, k: np.ones_like(values)),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_share_at_a_known_eigenvalue_is_lambda_times_the_solvers_function_of_it(known, name):
    problems, bins = known
    solver, law = LAWS[name]
    steps = [0, 1, 2, 5, 9]
    table = response_table(solver.trace(problems, steps).weights, problems, bins)
    assert (table["n_examples"] == 7).all()
    np.testing.assert_allclose(table["eigenvalue"], np.tile(EIGENVALUES, len(steps)), rtol=1e-12)
    for layer, k in enumerate(steps):
        rows = table[table["layer"] == layer]
        expected = law(np.asarray(EIGENVALUES), k)
        for column in ("share", "ci_low", "ci_high"):  # every prompt has the same response: nothing to resample
            np.testing.assert_allclose(rows[column], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", LAWS)
def test_a_response_that_is_constant_within_bins_explains_all_and_leaves_nothing_outside(known, name):
    problems, bins = known
    solver, _ = LAWS[name]
    table = response_table(solver.trace(problems, [1, 4]).weights, problems, bins)
    np.testing.assert_allclose(table["explained"], 1, rtol=1e-12)
    np.testing.assert_allclose(table["outside"], 0, atol=1e-20)


def test_what_no_function_of_the_eigenvalue_gives_is_not_explained(known):
    """Weights that swap the solutions of two directions: no share of its own solution explains a direction's."""
    problems, bins = known
    spectrum = problems.spectrum
    along = spectrum.moment / spectrum.eigenvalues
    weights = spectrum.weights(along[..., [1, 0, 3, 2]][None])
    table = response_table(weights, problems, bins)
    shares = table["share"].to_numpy()
    pairs = torch.stack([along, along[..., [1, 0, 3, 2]]])[:, :, 0]  # [own or swapped, prompt, dim]
    expected = (pairs[0] * pairs[1]).sum(0) / pairs[0].square().sum(0)
    np.testing.assert_allclose(shares, expected, rtol=1e-10)
    left = (EIGENVALUES * (pairs[1] - expected * pairs[0]).square()).sum()
    total = (EIGENVALUES * pairs[1].square()).sum()
    assert table["explained"].iloc[0] == pytest.approx(float(1 - left / total), rel=1e-10)
    assert table["explained"].iloc[0] < 0.9


def null_space_problems() -> tuple[Regressions, torch.Tensor]:
    """Two examples in four dimensions, and weights [layer prompt prefix dim] that the examples do not see."""
    problems = Regressions.of(Prompts(xs=gaussian(0, 6, 3, 4), ys=gaussian(1, 6, 3)))
    unseen = problems.spectrum.eigenvalues == 0
    assert unseen.sum(-1).eq(2).all()
    return problems, problems.spectrum.weights(torch.where(unseen, gaussian(2, 6, 1, 4), 0.0)[None])


def test_weights_in_the_null_space_lie_outside_and_respond_to_nothing():
    problems, hidden = null_space_problems()
    table = response_table(hidden, problems, EigenvalueBins.of(problems.spectrum, 2))
    np.testing.assert_allclose(table["outside"], 1, rtol=1e-12)
    np.testing.assert_allclose(table["share"], 0, atol=1e-13)


def test_the_part_outside_is_the_null_spaces_part_of_the_squared_norm():
    problems, hidden = null_space_problems()
    solution = make_solver("ols").trace(problems, [1]).weights
    table = response_table(solution + hidden, problems, EigenvalueBins.of(problems.spectrum, 2))
    expected = hidden.square().sum() / (hidden.square().sum() + solution.square().sum())
    np.testing.assert_allclose(table["outside"], float(expected), rtol=1e-10)
    np.testing.assert_allclose(table["share"], 1, rtol=1e-10)
    np.testing.assert_allclose(table["explained"], 1, rtol=1e-10)


@pytest.mark.parametrize(
    ("spec", "name", "parameters", "lead"),
    [
        ("gd:steps=3,dim=4,lr=1", "gd", {"lr": 1 / 8, "normalize": "sum"}, 0),
        ("gd++:steps=2,dim=4,lr=0.125,gamma=0.015625", "gd++", {"lr": 1 / 8, "gamma": 1 / 64}, 0),
        ("newton:steps=3,dim=4,alpha=0.015625", "newton", {"scale": "constant", "alpha": 1 / 64}, 2),
    ],
)
def test_the_layers_of_a_constructed_model_respond_as_the_steps_of_its_solver(spec, name, parameters, lead):
    """Step sizes are powers of two, which single precision holds exactly."""
    model = interp.load(spec).double()
    prompts = model.task.sample(40, seed=1).to(dtype=torch.float64)  # gradients come in the precision of the inputs
    problems = problems_of(model, prompts)
    bins = EigenvalueBins.of(problems.spectrum)
    layers = ResponseSums.of(sensitivities(model, prompts), problems, bins).responses()
    steps = [max(layer - lead, 0) for layer in range(1 + model.cfg.n_layers)]
    expected = ResponseSums.of(make_solver(name, **parameters).trace(problems, steps).weights, problems, bins)
    first = max(lead, 0)  # before, the layers prepare and predict 0
    np.testing.assert_allclose(layers[first:], expected.responses()[first:], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layers[:first], 0, atol=1e-12)


def every_prefix_problems(seed: int = 0, n_prompts: int = 6) -> Regressions:
    return Regressions.every_prefix(gaussian(seed, n_prompts, 9, 4), gaussian(seed + 1, n_prompts, 9))


@given(seed=st.integers(0, 10_000))
def test_a_rotation_of_the_inputs_changes_nothing(seed):
    xs, ys, weights = gaussian(seed, 6, 9, 4), gaussian(seed + 1, 6, 9), gaussian(seed + 2, 2, 6, 9, 4)
    turn, _ = torch.linalg.qr(gaussian(seed + 3, 4, 4))
    plain = response_table(weights, Regressions.every_prefix(xs, ys))
    turned = response_table(weights @ turn, Regressions.every_prefix(xs @ turn, ys))
    assert_frame_equal(plain, turned, rtol=1e-7, atol=1e-9)


@given(seed=st.integers(0, 10_000), factor=st.floats(-3, 3))
def test_responses_are_linear_in_the_weights(seed, factor):
    problems = every_prefix_problems()
    bins = EigenvalueBins.of(problems.spectrum, 3)
    a, b = gaussian(seed, 1, 6, 9, 4), gaussian(seed + 1, 1, 6, 9, 4)
    of_a, of_b, of_both = (ResponseSums.of(weights, problems, bins).responses() for weights in (a, b, a + factor * b))
    np.testing.assert_allclose(of_both, of_a + factor * of_b, rtol=1e-7, atol=1e-7)


def test_a_response_is_a_regression_on_the_solution_weighted_by_the_eigenvalue(known):
    problems, bins = known
    weights = gaussian(5, 1, 8, 1, 4)
    spectrum = problems.spectrum
    ours = (weights[0, :, 0, None] @ spectrum.vectors[:, 0])[:, 0]  # [prompt dim]
    solution = (spectrum.moment / spectrum.eigenvalues)[:, 0]
    expected = (ours * solution).sum(0) / solution.square().sum(0)
    np.testing.assert_allclose(ResponseSums.of(weights, problems, bins).responses()[0], expected, rtol=1e-10)


# Bins


@pytest.mark.parametrize("n_bins", [1, 2, 3, 6])
def test_the_bins_of_a_prefix_hold_equally_many_of_its_eigenvalues(n_bins):
    problems = every_prefix_problems(n_prompts=30)
    bins = EigenvalueBins.of(problems.spectrum, n_bins)
    assert bins.count == n_bins
    placed, inside = bins.assign(problems.spectrum), problems.spectrum.eigenvalues > 0
    for prefix in range(1, 9):
        counts = torch.bincount(placed[:, prefix][inside[:, prefix]], minlength=n_bins)
        assert counts.sum() == 30 * min(prefix, 4)
        assert counts.max() - counts.min() <= 1


def test_bins_follow_the_order_of_the_eigenvalues():
    problems = every_prefix_problems(n_prompts=30)
    table = response_table(gaussian(0, 1, 30, 9, 4), problems)
    for _, rows in table.groupby("n_examples"):
        assert rows["bin"].is_monotonic_increasing
        assert rows["eigenvalue"].is_monotonic_increasing and rows["eigenvalue"].is_unique


def test_bins_made_on_some_prompts_place_the_eigenvalues_of_others(known):
    _, bins = known
    others = problems_with(EIGENVALUES * 1.01, n_prompts=3)
    assert torch.equal(bins.assign(others.spectrum), torch.arange(4).expand(3, 1, 4))


def test_a_prefix_without_examples_has_no_response():
    problems = every_prefix_problems()
    assert 0 not in set(response_table(gaussian(0, 1, 6, 9, 4), problems)["n_examples"])


@pytest.mark.parametrize("n_bins", [0, -1])
def test_fewer_than_one_bin_is_refused(n_bins):
    with raises_exactly(ValueError, f"A response needs at least one bin of eigenvalues, got n_bins={n_bins}."):
        EigenvalueBins.of(every_prefix_problems().spectrum, n_bins)


# Intervals


def assert_intervals_hold_their_estimates(table: pd.DataFrame) -> None:
    assert table[["share", "ci_low", "ci_high"]].notna().all(axis=None)
    assert (table["ci_low"] <= table["share"]).all()
    assert (table["share"] <= table["ci_high"]).all()
    assert (table["ci_low"] < table["ci_high"]).all()


@pytest.mark.parametrize("n_prompts", [16, 64])
def test_intervals_hold_their_estimates_in_cells_that_few_prompts_fill(n_prompts):
    """After one example every prompt has one eigenvalue, and a bin of six those of a sixth of the prompts."""
    problems = every_prefix_problems(n_prompts=n_prompts)
    weights = problems.spectrum.weights(problems.spectrum.moment * gaussian(7, 1, n_prompts, 9, 4).abs())
    assert_intervals_hold_their_estimates(response_table(weights, problems))


def test_intervals_are_bootstraps_over_prompts_of_the_ratio_of_sums(known):
    problems, bins = known
    sums = ResponseSums.of(gaussian(5, 2, 8, 1, 4), problems, bins)
    draws = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=1000)
    product, square = np.asarray(sums.product), np.asarray(sums.square)
    expected = np.stack([(draw @ product[0]) / (draw @ square) for draw in draws])
    np.testing.assert_allclose(sums.resampled()[:, 0], expected, rtol=1e-10)


# A bound on divergence


@pytest.mark.parametrize("wild", [1e6, -1e6, torch.inf, -torch.inf, torch.nan])
def test_a_diverging_prompt_counts_as_much_as_the_bound_lets_it(known, wild):
    problems, bins = known
    weights = 0.5 * make_solver("ols").trace(problems, [1]).weights
    weights[:, 0] *= wild
    square = ResponseSums.of(weights, problems, bins).square
    cut = -3.0 if wild < 0 else 3.0
    expected = (cut * square[0] + 0.5 * square[1:].sum(0)) / square.sum(0)
    found = ResponseSums.of(weights, problems, bins, bound=3.0).responses()[0]
    if abs(wild) < torch.inf:
        np.testing.assert_allclose(found, expected, rtol=1e-8)
        unbounded = ResponseSums.of(weights, problems, bins).responses()[0]
        assert (np.abs(unbounded) > 1e3).all()
    else:  # an infinite weight has no coordinates along the eigenvectors; each counts as far as it may
        rest = 0.5 * square[1:].sum(0) / square.sum(0)
        assert (np.abs(found - np.asarray(rest)) <= np.asarray(3.0 * square[0] / square.sum(0)) * (1 + 1e-8)).all()


def test_a_table_of_bounded_responses_has_numbers_where_a_solver_has_none(known):
    problems, bins = known
    weights = make_solver("gd", lr=5.0, normalize="sum").trace(problems, [1, 3, 1000]).weights
    assert not weights[2].isfinite().all()
    table = response_table(weights, problems, bins, bound=3.0)
    assert np.isfinite(table.drop(columns="layer")).all(axis=None)
    at_first = table[table["layer"] == 0]
    np.testing.assert_allclose(at_first["share"], [2.5, 3, 3, 3])  # 5 lambda, cut
    np.testing.assert_allclose(at_first["explained"], 1)
    assert (table["share"].abs() <= 3 + 1e-12).all()


def test_a_bound_that_nothing_reaches_changes_nothing(known):
    problems, bins = known
    weights = make_solver("gd", lr=0.2, normalize="sum").trace(problems, [1, 5]).weights
    free, bounded = (ResponseSums.of(weights, problems, bins, bound).responses() for bound in (torch.inf, 3.0))
    np.testing.assert_allclose(free, bounded, rtol=1e-12)


# Similarity

responses = arrays(np.float64, 12, elements=st.floats(-2, 2).filter(lambda x: x == 0 or abs(x) > 1e-3))


@given(a=responses, b=responses)
def test_similarity_is_symmetric_and_lies_between_minus_1_and_1(a, b):
    forth, back = similarity_of_responses(a, b), similarity_of_responses(b, a)
    assert forth == back
    assert -1 - 1e-12 <= forth <= 1 + 1e-12


@given(a=responses)
def test_similarity_is_1_for_equal_responses_minus_1_for_opposite_ones_and_0_against_0(a):
    nothing = np.zeros_like(a)
    assert similarity_of_responses(a, a) == pytest.approx(1)
    if a.any():
        assert similarity_of_responses(a, -a) == pytest.approx(-1)
        assert similarity_of_responses(a, nothing) == 0


@given(a=responses.filter(lambda a: a.any()), factor=st.floats(0.01, 100))
def test_similarity_sees_scale(a, factor):
    assert similarity_of_responses(a, factor * a) == pytest.approx(2 * factor / (1 + factor**2))


@given(a=responses, b=responses.filter(lambda b: b.any()))
def test_similarity_is_1_minus_the_squared_distance_in_units_of_the_squared_norms(a, b):
    expected = 1 - ((a - b) ** 2).sum() / ((a**2).sum() + (b**2).sum())
    assert similarity_of_responses(a, b) == pytest.approx(expected, abs=1e-12)


def test_similarities_broadcast_over_leading_axes():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(3, 1, 5)), generator.normal(size=(1, 4, 5))
    found = similarity_of_responses(a, b)
    for i in range(3):
        for j in range(4):
            assert found[i, j] == similarity_of_responses(a[i, 0], b[0, j])


def test_the_responses_of_a_task_of_many_prefixes_are_taken_prefix_by_prefix():
    prompts = LinearRegression(dim=3, n_points=8).sample(32, seed=1).to(dtype=torch.float64)
    problems = Regressions.every_prefix(prompts.xs, prompts.ys)
    weights = make_solver("ridge", alpha=0.1).trace(problems, [1]).weights
    table = response_table(weights, problems)
    for t in (2, 7):
        alone = Regressions.of(Prompts(xs=prompts.xs[:, : t + 1], ys=prompts.ys[:, : t + 1]))
        rows = table[table["n_examples"] == t].reset_index(drop=True)
        assert_frame_equal(rows, response_table(weights[:, :, t, None], alone), rtol=1e-8)
