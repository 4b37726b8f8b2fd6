import math
from itertools import product

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.sweeps.spread import contrast, spread_over_seeds


def results(loss, *, layers=(1, 2, 4), lrs=(0.1, 0.2), seeds=(0, 1, 2)) -> pd.DataFrame:
    """Finished runs with the losses of a function of layers, learning rate and seed."""
    return pd.DataFrame(
        [
            {"layers": n, "lr": lr, "seed": seed, "status": "finished", "loss": loss(n, lr, seed)}
            for n, lr, seed in product(layers, lrs, seeds)
        ]
    )


def test_the_spread_is_that_over_the_seeds_of_each_setting():
    table = spread_over_seeds(results(lambda n, lr, seed: n + lr + seed), "layers", ["lr"], "loss")
    assert list(table.columns) == ["layers", "series", "seeds", "mean", "low", "high"]
    assert len(table) == 6
    row = table[(table["layers"] == 4) & (table["series"] == "lr 0.2")].iloc[0]
    assert row["seeds"] == 3
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((5.2, 4.2, 6.2))


def test_a_control_is_averaged_over_the_same_runs():
    table = results(lambda n, lr, seed: n).assign(untrained=lambda rows: 10 * rows["layers"] + rows["seed"])
    table.loc[table["seed"] == 2, "status"] = "failed"
    spread = spread_over_seeds(table, "layers", ["lr"], "loss", "untrained")
    assert set(spread["seeds"]) == {2}
    assert list(spread["control"]) == list(10 * spread["layers"] + 0.5)


def test_runs_that_did_not_finish_are_in_no_spread():
    table = results(lambda n, lr, seed: float(seed))
    table.loc[table["seed"] == 2, "status"] = "diverged"
    assert set(spread_over_seeds(table, "layers", ["lr"], "loss")["high"]) == {1.0}


def test_values_without_an_order_stay_as_the_file_has_them():
    table = results(lambda n, lr, seed: 1.0, layers=("softmax", "linear"))
    assert list(dict.fromkeys(spread_over_seeds(table, "layers", [], "loss")["layers"])) == ["softmax", "linear"]


def test_a_power_law_without_noise_has_its_ratio_as_an_exact_interval():
    found = contrast(results(lambda n, lr, seed: (1 + seed) * (1 + lr) / n), "layers", ["lr"], "loss")
    assert found is not None
    assert (found.start, found.end, found.settings) == (1.0, 4.0, 2)
    assert [found.ratio.low, found.ratio.estimate, found.ratio.high] == pytest.approx([0.25] * 3)
    assert found.per_seed == pytest.approx({0: 0.25, 1: 0.25, 2: 0.25})


def test_the_interval_over_two_seeds_is_students():
    logs = {0: -0.2, 1: -0.4}
    table = results(lambda n, lr, seed: math.exp(logs[seed] * (n == 4)), seeds=(0, 1))
    found = contrast(table, "layers", ["lr"], "loss")
    assert found is not None
    # The standard error of two numbers 0.2 apart is 0.1; Student's t of one degree of freedom is 12.706.
    assert math.log(found.ratio.estimate) == pytest.approx(-0.3)
    assert math.log(found.ratio.high) == pytest.approx(-0.3 + 12.706 * 0.1, abs=1e-3)


@given(st.permutations(range(18)))
def test_the_order_of_the_rows_does_not_matter(order):
    table = results(lambda n, lr, seed: 1 / (n + seed * lr + 1))
    ours, theirs = (contrast(t, "layers", ["lr"], "loss") for t in (table, table.iloc[order]))
    assert ours == theirs


def test_a_seed_without_a_run_at_one_end_is_left_out():
    table = results(lambda n, lr, seed: 1 / n)
    table.loc[(table["seed"] == 1) & (table["layers"] == 4), "status"] = "diverged"
    found = contrast(table, "layers", ["lr"], "loss")
    assert found is not None
    assert set(found.per_seed) == {0, 2}
    assert found.diverged == (0, 2)


@pytest.mark.parametrize(
    "table",
    [
        results(lambda n, lr, seed: 1.0, seeds=(0,)),
        results(lambda n, lr, seed: 1.0, layers=(2,)),
        results(lambda n, lr, seed: 1.0, layers=("softmax", "linear")),
        results(lambda n, lr, seed: 1.0, layers=(True, False)),
        results(lambda n, lr, seed: 1.0).assign(status="failed"),
        results(lambda n, lr, seed: 1.0, layers=(1, 2)).query("layers == 1 and seed == 0 or layers == 2 and seed > 0"),
        results(lambda n, lr, seed: 1.0, layers=(1, 2)).query("layers == 1 and lr == 0.1 or layers == 2 and lr == 0.2"),
    ],
    ids=["one seed", "one value", "names", "truths", "none finished", "no seed at both", "no setting at both"],
)
def test_nothing_is_said_of_ends_that_cannot_be_compared(table):
    assert contrast(table, "layers", ["lr"], "loss") is None
