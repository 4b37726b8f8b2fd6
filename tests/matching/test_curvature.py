"""The spectrum of X^T X: as GD++ reshapes it, and as it is found in a model's streams."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import interp
from interp.matching import curvature_table, effective_steps, measured_spectra, reshaped_spectra
from interp.matching.curvature import log_condition
from interp.models import RegressionTransformer
from interp.solvers import GradientDescentPlus
from interp.tasks import LinearRegression, Prompts
from tests.errors import raises_exactly
from tests.matching.models import TheirModel
from tests.models.tiny import tiny_model


def in_double(model: RegressionTransformer, n_prompts: int = 20, n_queries: int = 1) -> Prompts:
    return model.task.sample(n_prompts, seed=3, n_queries=n_queries).to(dtype=torch.float64)


def steps_of_its_own(model: RegressionTransformer) -> GradientDescentPlus:
    """GD++ with the step sizes and gammas that the model's weights hold."""
    steps = effective_steps(model)
    return GradientDescentPlus(lr=tuple(s.eta_over_n for s in steps), gamma=tuple(s.gamma for s in steps))


def spectra_of(xs: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvalsh(xs.mT @ xs)


@pytest.mark.parametrize(
    "spec",
    [
        "gd++:steps=3,dim=5",
        "gd++:steps=1,dim=2",
        "gd++:steps=4,dim=3,lr=0.5,gamma=0.4,noise_std=0.3",  # far enough to change signs and orders
        "gd++:steps=3,dim=5,points=4",  # three examples in five dimensions: two eigenvalues are 0
    ],
)
@pytest.mark.parametrize("n_queries", [1, 3])
def test_the_spectra_measured_in_a_construction_are_those_that_gd_plus_predicts(spec, n_queries):
    model = interp.load(spec).double()
    prompts = in_double(model, n_queries=n_queries)
    predicted = reshaped_spectra(model, prompts, steps_of_its_own(model), model.cfg.n_layers)
    assert_close(measured_spectra(model, prompts), predicted, rtol=1e-10, atol=1e-10)


def test_each_layer_may_straighten_differently():
    model = interp.load("gd++:steps=3,dim=4").double()
    with torch.no_grad():
        for block, factor in zip(model.blocks, (0.5, 2.0, 0.0), strict=True):
            block.attn.W_V[..., model.cfg.x_slice] *= factor
    prompts = in_double(model)
    solver = steps_of_its_own(model)
    assert isinstance(solver.gamma, tuple)
    assert len({*solver.gamma}) == 3
    assert_close(measured_spectra(model, prompts), reshaped_spectra(model, prompts, solver, 3), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spec", ["gd++:steps=3,dim=4", "gd++:steps=3,dim=4,lr=0.5,gamma=0.4"])
def test_gd_plus_predicts_the_eigenvalues_of_the_inputs_it_has_straightened(spec):
    """Nothing of the closed form: x <- (I - gamma X^T X) x, and the eigenvalues of what that leaves."""
    model = interp.load(spec)
    prompts = in_double(model)
    X, solver = prompts.xs[:, :-1], steps_of_its_own(model)
    found = reshaped_spectra(model, prompts, solver, 3).sort(-1).values
    for step, gamma in enumerate([0.0, *solver.values_by_step(3)["gamma"]]):
        X = X - gamma * X @ X.mT @ X
        assert_close(found[step], spectra_of(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spec", ["gd:steps=3", "gd:steps=2,dim=3,noise_std=1.0,points=5"])
def test_gradient_descent_never_changes_the_spectrum(spec):
    model = interp.load(spec)
    prompts = model.task.sample(20)
    measured = measured_spectra(model, prompts)
    assert torch.equal(measured, measured[:1].expand_as(measured))
    predicted = reshaped_spectra(model, prompts, steps_of_its_own(model), model.cfg.n_layers)
    assert torch.equal(predicted, predicted[:1].expand_as(predicted))


@pytest.mark.parametrize(
    "options", [{}, {"causal": True}, {"query_in_context": True}, {"n_points": 3}, {"looped": True}], ids=str
)
def test_layer_0_has_the_eigenvalues_of_s_whatever_the_weights(options):
    model = tiny_model(**options)
    prompts = in_double(model)
    expected = spectra_of(prompts.xs[:, :-1])
    assert_close(measured_spectra(model, prompts)[0], expected, rtol=1e-10, atol=1e-12)
    assert_close(reshaped_spectra(model, prompts, GradientDescentPlus(), 0)[0], expected, rtol=1e-10, atol=1e-12)


def test_a_layers_values_sum_to_the_squared_length_of_its_inputs_whatever_the_weights():
    """The trace of X_l^T X_l, in any basis; the queries are not among the examples."""
    model = tiny_model()
    prompts = in_double(model, n_queries=2)
    with torch.no_grad():
        _, cache = model.run_with_cache(model.tokens(prompts), n_queries=2)
    measured = measured_spectra(model, prompts)
    for layer in (1, 2):
        stream = cache[f"blocks.{layer - 1}.hook_resid_post"][:, :-2, model.cfg.x_slice]
        assert_close(measured[layer].sum(-1), stream.square().sum((1, 2)))
        assert (measured[layer].sum(-1) / measured[0].sum(-1) - 1).abs().max() > 0.1


@given(
    eigenvalues=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6, unique=True),
    shares=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6),
)
def test_gd_plus_narrows_the_condition_number_and_keeps_the_order_where_gamma_times_the_top_stays_below_a_third(
    eigenvalues, shares
):
    """lambda (1 - gamma lambda)^2 rises up to 1/(3 gamma), and takes the more away the larger lambda is."""
    spectrum = torch.tensor([eigenvalues], dtype=torch.float64).sort(-1).values
    gamma, top = [], spectrum.max().item()
    for share in shares:
        gamma.append(share / (3 * top))
        top *= (1 - share / 3) ** 2
    found = GradientDescentPlus(gamma=tuple(gamma)).straightened(spectrum, range(len(shares) + 1))[:, 0]
    apart = found.diff(dim=-1)
    # Neighbours closer than rounding may tie.
    assert (apart >= -1e-12 * found[..., 1:]).all()
    condition = found[:, -1] / found[:, 0]
    spread = condition[0] - 1
    assert (condition.diff() <= 1e-12 * condition[0]).all()
    if spread > 1e-6:
        assert (condition.diff() < 0).all()
    for step in range(len(shares)):
        ratio = (1 - gamma[step] * found[step, -1]) / (1 - gamma[step] * found[step, 0])
        assert condition[step + 1].item() == pytest.approx((condition[step] * ratio**2).item(), rel=1e-9)


def test_gd_plus_turns_the_order_around_where_gamma_is_larger():
    spectrum = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    found = GradientDescentPlus(gamma=0.5).straightened(spectrum, [0, 1])
    assert found.tolist() == [[[1.0, 2.0]], [[0.25, 0.0]]]


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [
        ([3.0, 3.0], 0.0),
        ([1.0, 10.0, 1000.0], 3.0),
        ([1000.0, 1.0, 10.0], 3.0),  # in any order
        ([2e-9, 2e-4], 5.0),
        ([0.0, 5.0], 12.0),  # nothing along one direction
        ([1e-20, 1.0], 12.0),
        ([7.0], 0.0),
    ],
    ids=str,
)
def test_the_logarithm_of_the_condition_number(eigenvalues, expected):
    (found,) = log_condition(torch.tensor([[eigenvalues]], dtype=torch.float64)).flatten().tolist()
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_table_holds_the_means_over_prompts_of_both_spectra():
    model = interp.load("gd++:steps=2,dim=3").double()
    prompts = in_double(model)
    solver = GradientDescentPlus(lr=0.1, gamma=0.02)  # not the model's own
    table = curvature_table(model, prompts, solver)
    assert list(table.columns) == [
        "source",
        "layer",
        "direction",
        "start",
        "eigenvalue",
        "ci_low",
        "ci_high",
        "share",
        "log10_condition",
    ]
    assert len(table) == 2 * 3 * 3  # sources, layers 0 to 2, directions
    both = {"model": measured_spectra(model, prompts), "gd++": reshaped_spectra(model, prompts, solver, 2)}
    for row in table.to_dict("records"):
        spectrum = both[row["source"]]
        values = spectrum[row["layer"], :, row["direction"]]
        assert row["eigenvalue"] == pytest.approx(values.mean().item())
        assert row["ci_low"] < row["eigenvalue"] < row["ci_high"]
        assert row["start"] == pytest.approx(spectrum[0, :, row["direction"]].mean().item())
        assert row["share"] == pytest.approx((values / spectrum[row["layer"]].sum(-1)).mean().item())
        assert row["log10_condition"] == pytest.approx(log_condition(spectrum)[row["layer"]].mean().item())
    assert table.groupby(["source", "layer"])["share"].sum().to_numpy() == pytest.approx(1)
    starts = table[table["layer"] == 0].pivot(index="direction", columns="source", values="eigenvalue")
    assert starts["model"].to_numpy() == pytest.approx(starts["gd++"].to_numpy())
    assert starts["model"].is_monotonic_increasing


def test_shares_and_condition_do_not_change_where_a_layer_only_rescales_x():
    model = interp.load("gd:steps=2,dim=3").double()

    def threefold(resid, hook):
        scale = torch.ones_like(resid)
        scale[..., model.cfg.x_slice] = 3
        return scale * resid

    model.blocks[0].hook_resid_post.add_perma_hook(threefold)
    table = curvature_table(model, in_double(model), GradientDescentPlus()).query("source == 'model'")
    by_layer = {
        key: table.pivot(index="direction", columns="layer", values=key)
        for key in ("eigenvalue", "share", "log10_condition")
    }
    for layer in (1, 2):
        assert by_layer["eigenvalue"][layer].to_numpy() == pytest.approx(9 * by_layer["eigenvalue"][0].to_numpy())
        for key in ("share", "log10_condition"):
            assert by_layer[key][layer].to_numpy() == pytest.approx(by_layer[key][0].to_numpy())


def test_examples_along_equal_axes_are_only_rescaled_by_gd_plus():
    """Where S is a multiple of the identity, so is what straightening does."""
    xs = torch.cat([0.5 * torch.eye(3), torch.ones(1, 3)])[None].expand(2, -1, -1)
    prompts = Prompts(xs=xs, ys=torch.ones(2, 4), w=torch.ones(2, 3))
    model = interp.load("gd++:steps=2,dim=3,gamma=1.0")
    table = curvature_table(model, prompts, steps_of_its_own(model))
    assert table["share"].to_numpy() == pytest.approx(1 / 3)
    assert table["log10_condition"].to_numpy() == pytest.approx(0, abs=1e-6)
    after = 0.25 * 0.75**2
    expected = [0.25, after, after * (1 - after) ** 2]
    for _, part in table.groupby("source"):
        assert part.groupby("layer")["eigenvalue"].mean().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    "model",
    [
        tiny_model(attention="softmax"),
        tiny_model(mlp="relu"),
        tiny_model(positions="sinusoidal"),
        interp.load("newton"),  # reads x in, and m beside it
        TheirModel(n_layers=1, eta=0.1),
    ],
    ids=["softmax", "mlp", "positions", "newton", "theirs"],
)
def test_models_whose_stream_need_not_keep_x_in_place_are_refused(model):
    prompts = model.task.sample(4)
    message = (
        "The spectrum of X^T X can be followed through layers of linear attention on (x, y) tokens, whose stream "
        f"keeps x in place; this is {type(model).__name__} with {model.cfg}."
    )
    with raises_exactly(ValueError, message):
        measured_spectra(model, prompts)
    with raises_exactly(ValueError, message):
        curvature_table(model, prompts, GradientDescentPlus())


def test_more_layers_than_steps_of_their_own_are_refused():
    model = interp.load("gd++:steps=3,dim=2")
    with raises_exactly(
        ValueError,
        "gd++ was given 2 values of `gamma`, one per step, and asked for 3 steps; "
        "give as many values as steps, or one number for all.",
    ):
        curvature_table(model, model.task.sample(4), GradientDescentPlus(lr=0.1, gamma=(0.1, 0.1)))


def test_training_narrows_the_spectrum_that_an_untrained_twin_leaves_nearly_as_it_is():
    model, twin = interp.load("lsa-5layer"), interp.load("untrained:lsa-5layer,seed=3")
    prompts = LinearRegression().sample(100, seed=3)
    trained, untrained = measured_spectra(model, prompts), measured_spectra(twin, prompts)
    assert_close(untrained, untrained[:1].expand_as(untrained), rtol=1e-3, atol=0)
    assert_close(trained[0], untrained[0])
    condition = log_condition(trained).mean(1)
    assert condition[-1] < condition[0] - 1  # tenfold at least
    assert math.isclose(log_condition(untrained)[-1].mean(), condition[0], rel_tol=1e-3)
