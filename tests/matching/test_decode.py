import pytest
import torch

import interp
from interp.matching import TARGETS, layer_states, probe_layers
from interp.solvers import Regressions, make_solver
from interp.tasks import LinearRegression, Prompts
from probes import fit_on_prompts, r2_score
from tests.errors import raises_exactly
from tests.matching.models import TheirModel
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

PROMPTS = 96


def scores(table, target, column="r2"):
    return table[table["target"] == target].set_index("layer")[column]


@pytest.fixture(scope="module")
def table():
    model = interp.load("gd:steps=2")
    return probe_layers(model, model.task.sample(PROMPTS, seed=1))


def test_a_gradient_step_makes_the_answer_readable(table):
    r2 = scores(table, "next_y")
    assert r2[0] < 0.1  # the embedding knows the query alone
    assert 0.5 < r2[1] < r2[2]


def test_the_answer_is_as_readable_as_the_solvers_predictions_are_good():
    """A readout can do no worse than the coordinate that holds the prediction, and that one is all there is."""
    model = interp.load("gd:steps=2")
    prompts = model.task.requery(model.task.sample(1024, seed=1), 32, seed=0)
    table = probe_layers(model, prompts, ["next_y"], controls=False)
    half = prompts[512:]
    lr = 10 / (10 / 12 * (1 + 0.5**0.5) ** 2)  # the construction's default, see design section 5
    predictions = make_solver("gd", lr=lr).predict(Regressions.of(half), [1, 2])
    targets = half.ys[:, half.n_examples :].double()
    for layer in (1, 2):
        p, y = predictions[layer - 1], targets
        best_scaled = p * ((p * y).sum() / p.square().sum())
        expected = r2_score(best_scaled[..., None], y[..., None]).estimate
        assert scores(table, "next_y")[layer] == pytest.approx(expected, abs=0.02)  # 512 prompts place a readout so


def test_nothing_is_readable_of_other_prompts_targets(table):
    assert (table["shuffled_targets"] < 0.05).all()


def test_untrained_layers_know_less_than_built_ones(table):
    row = table[(table["target"] == "next_y") & (table["layer"] == 2)].iloc[0]
    assert row["random_init_high"] < row["ci_low"]


def test_scores_are_those_of_probes_fitted_to_the_first_half():
    model = interp.load("gd:steps=2")
    prompts = model.task.sample(40, seed=3, n_queries=16)
    table = probe_layers(model, prompts, ["w_ols"], controls=False)
    states = [layer_states(model, half) for half in prompts.halves()]
    weights = [
        make_solver("ols").trace(Regressions.of(half), [1]).weights[0].expand(-1, 16, -1) for half in prompts.halves()
    ]
    predictions = fit_on_prompts(states[0], weights[0])(states[1])
    for layer in range(3):
        expected = r2_score(predictions[layer], weights[1])
        row = table[table["layer"] == layer].iloc[0]
        assert (row["r2"], row["ci_low"], row["ci_high"]) == pytest.approx(
            (expected.estimate, expected.low, expected.high)
        )


def test_the_second_half_chooses_no_penalty():
    model = interp.load("gd:steps=2,noise_std=0.5")
    prompts = model.task.sample(40, seed=3, n_queries=8)
    other = model.task.sample(40, seed=4, n_queries=8)
    mixed = Prompts(
        **{name: torch.cat([getattr(prompts, name)[:20], 3 * getattr(other, name)[20:]]) for name in ("xs", "ys", "w")},
        n_queries=8,
    )
    tables = [probe_layers(model, p, controls=False) for p in (prompts, mixed)]
    assert tables[0]["alpha"].tolist() == tables[1]["alpha"].tolist()
    assert (tables[0]["r2"] - tables[1]["r2"]).abs().max() > 1e-3


def test_every_target_is_what_its_name_says():
    prompts = interp.load("gd:steps=1").task.sample(3, n_queries=2)
    problems = Regressions.of(prompts)
    assert prompts.w is not None
    xs, ys = prompts.xs[:, :10].double(), prompts.ys[:, :10].double()
    moment = torch.einsum("ptd,pt->pd", xs, ys)
    expected = {
        "next_y": prompts.ys[:, 10:, None].double(),
        "w": prompts.w.double()[:, None].expand(-1, 2, -1),
        "w_ols": torch.linalg.lstsq(xs, ys[..., None]).solution.mT.expand(-1, 2, -1),
        "xty": moment[:, None].expand(-1, 2, -1),
    }
    assert set(TARGETS) == set(expected)
    for name, target in TARGETS.items():
        torch.testing.assert_close(target(problems, prompts), expected[name], rtol=1e-8, atol=1e-10)


def test_a_causal_model_is_read_at_every_point_but_the_uninformed_one():
    model = tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)
    table = probe_layers(model, model.task.sample(16), controls=False)
    assert set(table["target"]) == set(TARGETS)
    assert sorted(set(table["layer"])) == [0, 1, 2]
    assert table["r2"].notna().all()


def test_an_unknown_target_is_answered_with_the_nearest():
    model = interp.load("gd:steps=1")
    with raises_exactly(ValueError, "Unknown target 'nexty'; known are next_y, w, w_ols, xty. Did you mean 'next_y'?"):
        probe_layers(model, model.task.sample(16), ["nexty"])


def test_readouts_need_a_target():
    model = interp.load("gd:steps=1")
    with raises_exactly(ValueError, "Name at least one target to read for; known are next_y, w, w_ols, xty."):
        probe_layers(model, model.task.sample(16), [])


def test_readouts_begin_at_a_point_that_there_is():
    model = tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)
    prompts = model.task.sample(16)
    n_points = prompts.n_points
    with raises_exactly(
        ValueError, f"No point is left from `first_point` {n_points} on; the prompts have {n_points} points."
    ):
        probe_layers(model, prompts, controls=False, first_point=n_points)
    with raises_exactly(ValueError, "`first_point` is the number of examples to begin at, from 0 up; got -1."):
        probe_layers(model, prompts, controls=False, first_point=-1)


def test_prompts_of_another_dim_cannot_be_read():
    with raises_exactly(
        ValueError,
        "The prompts have inputs of dim 3, the model was trained on dim 5; sample them with model.task.sample.",
    ):
        probe_layers(interp.load("gd:steps=1"), LinearRegression(dim=3).sample(16))


def test_readouts_need_eight_prompts():
    model = interp.load("gd:steps=1")
    with raises_exactly(ValueError, "Readouts need at least 8 prompts (half to fit, a quarter of it held out), got 7."):
        probe_layers(model, model.task.sample(7))


def test_prompts_without_hidden_weights_cannot_be_read_for_them():
    model = interp.load("gd:steps=1")
    prompts = model.task.sample(16, n_queries=4)
    bare = Prompts(xs=prompts.xs, ys=prompts.ys, n_queries=4)
    with raises_exactly(ValueError, "These prompts have no hidden weights (`w` is None); leave the target 'w' out."):
        probe_layers(model, bare)


def test_a_module_without_twins_is_read_without_that_control():
    model = TheirModel(n_layers=1, eta=1.0)
    table = probe_layers(model, model.task.sample(32), ["next_y"], controls=False)
    assert scores(table, "next_y")[1] > 0.5
