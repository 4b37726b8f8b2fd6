"""The built circuit falls apart at each of its edges, and nowhere else."""

import pandas as pd
import pytest

from interp.attribution.language import edge_effects
from interp.tasks import RepeatedTokens
from tests.attribution.language.models import (
    DUPLICATE,
    INDUCTION,
    PREVIOUS,
    induction_circuit,
    llama,
    native,
    sequences,
)


@pytest.fixture(scope="module")
def effects():
    return edge_effects(induction_circuit(), sequences(), [PREVIOUS], [INDUCTION])


def of(effects, edge, measure):
    (row,) = effects[(effects["edge"] == edge) & (effects["measure"] == measure)].to_dict("records")
    return row


@pytest.mark.parametrize("edge", ["key input", "previous-token attention"])
def test_cutting_what_the_previous_token_head_tells_breaks_prefix_matching(effects, edge):
    row = of(effects, edge, "induction")
    assert (row["cut"], row["of"]) == ("1.0", "2.0")
    assert row["before"] == pytest.approx(1)
    assert row["ci_high"] < -0.9
    assert row["random_low"] > -0.01
    assert row["verdict"] == "clear"


@pytest.mark.parametrize("edge", ["key input", "previous-token attention", "induction attention"])
def test_cutting_any_edge_of_the_circuit_costs_the_repeat(effects, edge):
    row = of(effects, edge, "loss on repeat")
    assert row["before"] < 1e-6
    assert row["ci_low"] > 1
    assert abs(row["random_high"]) < 0.01
    assert (row["n_random"], row["verdict"]) == (5, "clear")


def test_a_head_that_only_looks_at_duplicates_tells_the_induction_head_nothing():
    effects = edge_effects(induction_circuit(), sequences(), [DUPLICATE], [INDUCTION])
    for measure in ("induction", "loss on repeat"):
        row = of(effects, "key input", measure)
        assert row["change"] == 0
        assert row["verdict"] == "not clear"


def test_several_heads_are_cut_one_by_one_and_together():
    bridge = llama()
    batch = RepeatedTokens(d_vocab=50, n_pos=19, shortest=9, longest=9).sample(3)
    effects = edge_effects(bridge, batch, [(0, 0), (0, 2), (1, 1)], [(1, 0), (1, 3)], n_draws=2)
    cuts = effects.groupby("edge", sort=False)["cut"].unique().apply(list).to_dict()
    assert cuts == {
        "key input": ["1.0", "1.2", "1.0 1.2"],  # 2.1 comes too late for 2.0 and 2.3
        "previous-token attention": ["1.0", "1.2", "1.0 1.2"],
        "induction attention": ["2.0", "2.3", "2.0 2.3"],
    }
    measures = (
        effects[effects["edge"] == "key input"]
        .groupby("cut")[["measure", "of"]]
        .apply(lambda rows: list(rows.itertuples(index=False, name=None)))
    )
    expected = [("induction", "2.0"), ("induction", "2.3"), ("loss on first", ""), ("loss on repeat", "")]
    assert all(rows == expected for rows in measures)
    assert (effects["verdict"] == "too few others").all()


def test_without_heads_on_one_side_there_is_nothing_to_cut():
    batch = RepeatedTokens(d_vocab=50, n_pos=19, shortest=9, longest=9).sample(3)
    some = edge_effects(native(), batch, [(0, 0)], [(1, 0)], n_draws=1)
    for senders, receivers in (([], [(1, 0)]), ([(0, 0)], []), ([(1, 0)], [(0, 0)])):
        empty = edge_effects(native(), batch, senders, receivers)
        assert empty.empty
        assert list(empty.columns) == list(some.columns)


def test_effects_are_a_function_of_the_seed():
    batch = RepeatedTokens(d_vocab=50, n_pos=19, shortest=9, longest=9).sample(3)
    first, again = (edge_effects(native(n_heads=8), batch, [(0, 0)], [(1, 0)], n_draws=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
