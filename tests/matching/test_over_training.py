"""Alignment from checkpoint to checkpoint, and the turn from one algorithm to another."""

from collections.abc import Sequence

import pandas as pd
import pytest

import interp
from interp.matching import align, align_over_training, find_turn
from interp.matching.alignment import measure_prompts
from interp.matching.over_training import MEASURES
from interp.matching.readouts import ask_many_queries, model_answers, problems_of
from interp.models import TransformerConfig, descent_twin
from interp.solvers import make_solver
from interp.training import checkpoint_steps, train
from tests.errors import raises_exactly
from tests.matching.runs import run_of
from tests.training.recipes import tiny_recipe

ETA, GAMMA = 0.2, 0.15
SOLVERS = {"gd": make_solver("gd", lr=ETA, normalize="sum"), "gd++": make_solver("gd++", lr=ETA, gamma=GAMMA)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 6 updates of two layers of linear attention."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_recipe(model=TransformerConfig(dim=3, n_layers=2, init_variance=1.0), steps=6), folder)
    return folder


@pytest.fixture
def prompts():
    model = interp.load("gd:steps=2,dim=3")
    return ask_many_queries(model, model.task.sample(64), 4, seed=0)


@pytest.fixture
def turning(tmp_path):
    """Untrained, then two steps of GD, then two of GD++."""
    base = interp.load("gd:steps=2,dim=3")
    gd, plus = (descent_twin(base, [ETA] * 2, [gamma] * 2) for gamma in (0.0, GAMMA))
    return run_of(tmp_path / "run", {0: base.untrained_twin(0), 1: gd, 2: gd, 3: plus, 4: plus})


def test_the_last_checkpoint_is_aligned_as_the_run_itself(trained, prompts):
    table = align_over_training(trained, SOLVERS, prompts)
    model = interp.load(trained)
    targets = problems_of(model, prompts).targets
    loss = 0.5 * (model_answers(model, prompts) - targets).square().mean().item()
    for name, solver in SOLVERS.items():
        (row,) = table[(table["update"] == 6) & (table["solver"] == name)].to_dict(orient="records")
        expected = align(model, solver, prompts, 2)
        assert row["loss"] == pytest.approx(loss, rel=1e-6)
        for measure in MEASURES:
            interval = getattr(expected, measure)
            found = [row[column] for column in (measure, f"{measure}_low", f"{measure}_high")]
            assert found == [interval.estimate, interval.low, interval.high]


def test_there_is_one_row_for_each_checkpoint_and_solver(trained, prompts):
    table = align_over_training(trained, SOLVERS, prompts)
    assert list(zip(table["update"], table["solver"], strict=True)) == [
        (step, name) for step in checkpoint_steps(trained) for name in SOLVERS
    ]
    for measure in ("loss", *MEASURES):
        assert (table[f"{measure}_low"] <= table[measure]).all()
        assert (table[measure] <= table[f"{measure}_high"]).all()


def test_only_the_checkpoints_asked_for_are_followed(trained, prompts):
    table = align_over_training(trained, {"gd": SOLVERS["gd"]}, prompts, checkpoints=[0, 3])
    assert list(table["update"]) == [0, 3]


def test_a_checkpoint_that_is_the_algorithm_is_aligned_with_it_exactly(turning, prompts):
    table = align_over_training(turning, SOLVERS, prompts)
    for update, name in ((1, "gd"), (2, "gd"), (3, "gd++"), (4, "gd++")):
        (row,) = table[(table["update"] == update) & (table["solver"] == name)].to_dict(orient="records")
        assert (row["cosine"], row["l2"], row["prediction_difference"]) == pytest.approx((1, 0, 0), abs=1e-5)
    assert (table[(table["update"] == 4) & (table["solver"] == "gd")]["cosine_high"] < 1).all()


def test_a_model_that_passes_from_one_algorithm_to_the_other_is_seen_to_turn(turning, prompts):
    turn = find_turn(align_over_training(turning, SOLVERS, prompts))
    assert turn is not None
    assert (turn.first, turn.second, turn.crossing, turn.last) == ("gd", "gd++", (2, 3), 4)
    assert turn.closest in (1, 2)
    assert (turn.first_there.estimate, turn.second_at_last.estimate) == pytest.approx((1, 1), abs=1e-5)


def test_the_way_back_is_the_turn_of_the_other_pair(turning, prompts):
    table = align_over_training(turning, SOLVERS, prompts, checkpoints=[0, 1, 3])
    backwards = table.assign(update=table["update"].map({0: 0, 3: 1, 1: 2}))
    assert find_turn(backwards) is None
    assert find_turn(backwards, "gd++", "gd") is not None


def test_measures_of_prompts_average_to_the_alignment(trained, prompts):
    model = interp.load(trained)
    measured = measure_prompts(model, SOLVERS, prompts, 2)
    for name, solver in SOLVERS.items():
        expected = align(model, solver, prompts, 2)
        for measure, values in zip(MEASURES, measured[name], strict=True):
            assert values.shape == (64,)
            assert values.mean().item() == pytest.approx(getattr(expected, measure).estimate)


def test_a_folder_without_checkpoints_is_refused(tmp_path, prompts):
    message = f"{tmp_path} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
    with raises_exactly(FileNotFoundError, message):
        align_over_training(tmp_path, SOLVERS, prompts)


def made_up(gd: Sequence[float], plus: Sequence[float], half_width: float = 0.001) -> pd.DataFrame:
    """A table of these cosines at updates 0, 10, 20, ..., with intervals so wide to either side, and falling losses."""
    rows = []
    for name, cosines in (("gd", gd), ("gd++", plus)):
        for index, cosine in enumerate(cosines):
            row = {"update": 10 * index, "solver": name, "loss": 1 / (1 + index), "cosine": cosine}
            rows.append({**row, "cosine_low": cosine - half_width, "cosine_high": cosine + half_width})
    return pd.DataFrame(rows)


TURNING = ([0.0, 0.5, 0.99, 0.98, 0.95], [0.0, 0.4, 0.95, 0.985, 0.999])


def test_the_turn_says_when():
    turn = find_turn(made_up(*TURNING))
    assert turn is not None
    assert (turn.closest, turn.crossing, turn.last) == (20, (20, 30), 40)
    assert (turn.loss_there, turn.loss_at_last) == pytest.approx((1 / 3, 1 / 5))
    assert (turn.first_there.estimate, turn.second_there.estimate) == (0.99, 0.95)
    assert (turn.first_at_last.low, turn.second_at_last.high) == pytest.approx((0.949, 1.0))


def test_the_order_of_the_rows_does_not_matter():
    assert find_turn(made_up(*TURNING).iloc[::-1]) == find_turn(made_up(*TURNING))


def test_the_lead_must_change_for_good():
    turn = find_turn(made_up([0.0, 0.98, 0.97, 0.99, 0.9], [0.0, 0.9, 0.98, 0.97, 0.99]))
    assert turn is not None
    assert turn.crossing == (30, 40)


@pytest.mark.parametrize(
    ("gd", "plus"),
    [
        ([0.0, 0.99, 0.999], [0.0, 0.9, 0.95]),
        ([0.0, 0.9, 0.95], [0.0, 0.99, 0.999]),
        ([0.0, 0.9, 0.999], [0.0, 0.99, 0.9]),
        ([0.0, 0.99, 0.995], [0.0, 0.95, 0.999]),
        ([0.5], [0.4]),
    ],
    ids=["gd stays ahead", "gd++ always is", "from gd++ to gd", "gd is not left, only overtaken", "one checkpoint"],
)
def test_no_turn_is_none(gd, plus):
    assert find_turn(made_up(gd, plus)) is None


def test_a_turn_within_the_intervals_is_none():
    assert find_turn(made_up(*TURNING, half_width=0.01)) is not None
    assert find_turn(made_up(*TURNING, half_width=0.025)) is None


def test_a_table_without_the_solver_is_refused():
    table = made_up(*TURNING)
    with raises_exactly(ValueError, "The table has no rows of 'newton'; it holds ['gd', 'gd++']."):
        find_turn(table, "gd", "newton")
