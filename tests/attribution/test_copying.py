"""Heads that copy are labelled and confirmed, others are not; and the rule itself, on tables written down."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import torch

import interp
from interp.attribution import ablation_effects, copying_heads, copying_scores, label_heads
from interp.attribution.bars import BARS, CONTROLS, ENDS
from interp.attribution.copying_scores import no_scores
from interp.attribution.neighbours import WAYS
from interp.models import RegressionModel, RegressionTransformer
from interp.models.gpt2 import gpt2_config
from interp.tasks import LinearRegression
from tests.attribution.copiers import x_reads_its_y, y_reads_its_x
from tests.errors import raises_exactly
from tests.models.tiny import INTERLEAVED, tiny_model

NOBODY = "none of these"


def labels(table: pd.DataFrame) -> dict[tuple[int, int], tuple[str, str]]:
    """By (layer, head), its label and its way."""
    heads = zip(table["layer"], table["head"], strict=True)
    return dict(zip(heads, zip(table["label"], table["way"], strict=True), strict=True))


@pytest.mark.parametrize(("make", "way"), [(x_reads_its_y, "x reads its y"), (y_reads_its_x, "y reads its x")])
def test_the_copying_head_of_a_construction_is_labelled_and_confirmed_and_no_other(make, way):
    model = make()
    table = copying_heads(model, model.task.sample(64))
    assert labels(table) == {(1, 0): ("copy", way), (2, 0): (NOBODY, "")}
    assert table["confirmed"].tolist() == [True, False]
    assert table["attention_low"][0] == 1
    assert table["carried"][0] == pytest.approx(1)
    assert (table["restored_low"][0], table["restored_high"][0]) == pytest.approx((1, 1))
    assert table["swapped_low"][0] > 0 < table["needed_low"][0]


def test_the_trained_model_copies_every_y_beside_its_x_in_its_first_layer():
    model = interp.load("copy-2layer")
    table = copying_heads(model, model.task.sample(128, seed=1))
    assert labels(table) == {(1, 0): ("copy", "x reads its y"), (2, 0): (NOBODY, "")}
    first = table.iloc[0]
    # It looks along y -> next x as well, and holds that x, but no prediction needs it.
    assert (first["confirmed"], first["unused"]) == (True, "y reads the next x")
    assert (first["restored"], first["carried"]) == pytest.approx((1, 1), abs=0.1)


def garg_like() -> RegressionTransformer:
    """A small GPT-2: causal, learned positions, norms, MLPs, y in a coordinate of x."""
    cfg = gpt2_config(dim=3, n_points=7, n_layers=2, n_heads=2, width=16)
    return RegressionTransformer(cfg, LinearRegression(dim=3, n_points=7, inputs="gaussian"))


ARCHITECTURES: dict[str, Callable[[], RegressionModel]] = {
    "copy-2layer": lambda: interp.load("copy-2layer"),
    "the construction": x_reads_its_y,
    "garg-like": garg_like,
    "lsa-1layer": lambda: interp.load("lsa-1layer"),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_head_of_twenty_untrained_models_copies(name):
    model = ARCHITECTURES[name]()
    twins = [model.untrained_twin(1000 + i) for i in range(2)]
    prompts = model.task.sample(48, seed=3)
    for seed in range(20):
        table = copying_heads(model.untrained_twin(seed), prompts, twins=twins)
        assert set(table["label"]) == {NOBODY}, seed
        assert not table["confirmed"].any()


def test_heads_of_a_paired_layout_have_nobody_to_copy_from():
    model = interp.load("lsa-1layer")
    table = copying_heads(model, model.task.sample(64))
    assert labels(table) == {(1, 0): (NOBODY, "")}
    assert table["needed_low"][0] > 0  # and yet the model needs it
    assert table["attention"].isna().all()


def test_every_head_is_measured_on_every_way():
    model = tiny_model(layout=INTERLEAVED, attention="softmax", query_in_context=True)
    table = copying_scores(model, model.task.sample(16), twins=[model.untrained_twin(5)])
    assert list(zip(table["layer"], table["head"], table["way"], strict=True)) == [
        (layer, head, way) for layer in (1, 2) for head in (0, 1) for way in WAYS
    ]
    for part in ("attention", "carried"):
        assert (table[f"{part}_low"] <= table[part]).all() and (table[part] <= table[f"{part}_high"]).all()
        for control in CONTROLS[part]:
            assert (table[f"{part}_{control}"] <= table[f"{part}_{control}_high"]).all()


def test_a_model_that_is_its_own_control_copies_nothing():
    """What the twins do too is no achievement."""
    model = x_reads_its_y()
    prompts = model.task.sample(32)
    scores = copying_scores(model, prompts, twins=[model])
    effects = ablation_effects(model, prompts, n_draws=0)
    assert set(label_heads(scores, effects)["label"]) == {NOBODY}


def test_interventions_are_left_out_where_nobody_looks():
    model = x_reads_its_y()
    scores = copying_scores(model, model.task.sample(32)).set_index(["layer", "way"])
    measured = scores.index[scores["restored"].notna()]
    assert list(measured) == [(1, "x reads its y")]


Evidence = tuple[float, float, float]
"""A value and the ends of its interval."""
GOOD: Evidence = (0.9, 0.8, 0.95)
WEAK = 0.05
"""What the controls reach."""
NOWHERE = {"attention": (0.0, 0.0, 0.0)}
"""A way that is not looked along."""


def measured(way: str, **changes: Any) -> dict[str, Any]:
    """A head's row of the scores: all is `GOOD`, and `WEAK` in the controls, but for ``changes``."""
    row: dict[str, Any] = {"layer": 1, "head": 0, "way": way}
    for part, controls in CONTROLS.items():
        row |= dict(zip((f"{part}{end}" for end in ENDS), changes.get(part, GOOD), strict=True))
        row |= {name: changes.get(name, WEAK) for name in (f"{part}_{control}_high" for control in controls)}
    return row


def judged(needed: Any = (0.2, 0.1, 0.3), others: Any = NOWHERE, **changes: Any) -> pd.Series:
    """The label's row of a head that looks along one way with ``changes``, and along the others as ``others`` says."""
    rows = [measured(way, **(changes if way == "x reads its y" else others)) for way in WAYS]
    columns = ["intervention", "layer", "head", "increase", "ci_low", "ci_high"]
    return label_heads(pd.DataFrame(rows), pd.DataFrame([("zero", 1, 0, *needed)], columns=columns)).iloc[0]


def test_a_way_that_clears_every_bar_is_copying():
    row = judged()
    assert (row["label"], row["way"], row["unused"], row["confirmed"]) == ("copy", "x reads its y", "", True)
    assert (row["attention"], row["restored_low"], row["needed_high"]) == (0.9, 0.8, 0.3)


@pytest.mark.parametrize("part", ["attention", "carried", "restored"])
def test_a_part_that_misses_its_bar_excludes_the_way(part):
    bar = BARS[part]
    row = judged(**{part: (bar - 0.02, bar - 0.03, bar - 0.01)})
    assert (row["label"], row["way"], row["confirmed"]) == (NOBODY, "", False)


@pytest.mark.parametrize("part", ["attention", "carried", "restored"])
def test_a_part_whose_interval_holds_its_bar_leaves_the_head_undecided(part):
    bar = BARS[part]
    row = judged(**{part: (bar, bar - 0.05, bar + 0.05)})
    assert (row["label"], row["way"], row["confirmed"]) == ("undecided", "", False)


@pytest.mark.parametrize(
    ("part", "control"), [(part, c) for part in ("attention", "carried", "restored") for c in CONTROLS[part]]
)
def test_a_control_that_does_as_well_excludes_the_way(part, control):
    assert judged(**{f"{part}_{control}_high": 0.95})["label"] == NOBODY
    assert judged(**{f"{part}_{control}_high": 0.9})["label"] == "undecided"
    assert judged(**{f"{part}_{control}_high": 0.79})["label"] == "copy"


@pytest.mark.parametrize(
    "changes",
    [{"swapped": (0.1, -0.1, 0.3)}, {"swapped_rest_high": 0.85}, {"needed": (0.1, -0.1, 0.3)}],
    ids=["other contents cost nothing", "another rest costs as much", "silence costs nothing"],
)
def test_a_way_that_no_ablation_confirms_leaves_the_head_undecided(changes):
    row = judged(**changes)
    assert (row["label"], row["way"], row["confirmed"]) == ("undecided", "x reads its y", False)


def test_only_ways_that_ablation_confirms_are_named_where_there_are_some():
    assert judged(others={})["way"] == " and ".join(WAYS)
    one = judged(others={"swapped": (0.0, -0.1, 0.1)})
    assert (one["label"], one["way"], one["confirmed"]) == ("copy", "x reads its y", True)


def test_what_is_moved_and_not_needed_is_said_to_be_unused():
    row = judged(restored=(0.0, -0.1, 0.05))
    assert (row["label"], row["way"], row["unused"]) == (NOBODY, "", "x reads its y")


def test_without_ways_there_is_nothing_to_copy():
    effects = pd.DataFrame(
        [{"layer": 1, "head": 0, "intervention": "zero", "increase": 1.0, "ci_low": 0.9, "ci_high": 1.1}]
    )
    assert labels(label_heads(no_scores(), effects)) == {(1, 0): (NOBODY, "")}


def test_too_few_prompts_are_refused():
    model = x_reads_its_y()
    message = "Copying scores need at least 8 prompts (half to fit readouts, a quarter of it held out), got 7."
    with raises_exactly(ValueError, message):
        copying_scores(model, model.task.sample(7))


def test_measuring_leaves_the_model_as_it_was():
    model = y_reads_its_x()
    prompts = model.task.sample(16)
    before = model(model.tokens(prompts))
    copying_heads(model, prompts)
    assert torch.equal(model(model.tokens(prompts)), before)
    assert not any(module._forward_hooks for module in model.modules())
