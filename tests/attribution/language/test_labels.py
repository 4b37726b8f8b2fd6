"""Labels by hand-made tables, on the built circuit, and never on models that have learnt nothing."""

import numpy as np
import pandas as pd
import pytest

from interp.attribution.language import (
    KINDS,
    SCORES,
    ablation_of_heads,
    label_language_heads,
    labelled_heads,
    score_copying,
    score_language_heads,
)
from tests.attribution.language.models import (
    DUPLICATE,
    FAMILIES,
    INDUCTION,
    PREVIOUS,
    induction_circuit,
    native,
    sequences,
)


def scores_of(heads: list[dict[str, tuple[float, float, float]]], chance: float = 0.02) -> pd.DataFrame:
    """A table of one layer, from the intervals (low, value, high) of each head's scores; the rest are 0."""
    rows = []
    for head, intervals in enumerate(heads):
        for score in SCORES:
            low, value, high = intervals.get(score, (0.0, 0.0, 0.0))
            row = {"layer": 1, "head": head, "score": score, "value": value, "ci_low": low, "ci_high": high}
            rows.append({**row, "chance": chance})
    return pd.DataFrame(rows)


def label_of(intervals: dict[str, tuple[float, float, float]], **options) -> tuple[str, str]:
    (row,) = label_language_heads(scores_of([intervals], **options)).to_dict("records")
    return row["label"], row["score"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_above_the_threshold_gives_the_label(kind):
    assert label_of({kind: (0.41, 0.5, 0.6)}) == (kind, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_across_the_threshold_is_undecided(kind):
    assert label_of({kind: (0.3, 0.45, 0.6)}) == ("undecided", kind)
    assert label_of({kind: (0.4, 0.45, 0.6)}) == ("undecided", kind)  # touching


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_below_the_threshold_is_none_of_these(kind):
    assert label_of({kind: (0.1, 0.2, 0.4)}) == ("none of these", kind)


def test_attention_to_the_current_or_the_first_token_gives_no_label():
    assert label_of({"current-token": (0.9, 0.9, 0.9), "first-token": (0.9, 0.9, 0.9)})[0] == "none of these"


def test_of_two_scores_above_the_bar_the_higher_one_decides():
    both = {"induction": (0.41, 0.5, 0.6), "previous-token": (0.5, 0.6, 0.7)}
    assert label_of(both) == ("previous-token", "previous-token")


def test_a_clear_score_is_not_undone_by_an_unclear_one():
    assert label_of({"induction": (0.41, 0.5, 0.6), "previous-token": (0.3, 0.7, 0.9)})[0] == "induction"


def test_chance_can_be_the_higher_bar():
    assert label_of({"induction": (0.5, 0.6, 0.7)}, chance=0.55)[0] == "undecided"
    assert label_of({"induction": (0.5, 0.6, 0.7)}, chance=0.75)[0] == "none of these"


def test_untrained_heads_can_be_the_higher_bar():
    scores = scores_of([{"induction": (0.5, 0.6, 0.7)}, {"previous-token": (0.5, 0.6, 0.7)}])
    untrained = scores_of([{"induction": (0.4, 0.5, 0.55)}, {"induction": (0.1, 0.2, 0.3)}])
    labels = label_language_heads(scores, untrained=untrained)
    assert labels["label"].to_list() == ["undecided", "previous-token"]
    assert labels["bar"].to_list() == [0.55, 0.4]


def test_scores_that_do_not_exist_decide_nothing():
    scores = scores_of([{"previous-token": (0.5, 0.6, 0.7)}, {}])
    scores.loc[scores["score"].isin(["induction", "duplicate-token"]), ["value", "ci_low", "ci_high"]] = np.nan
    assert label_language_heads(scores)["label"].to_list() == ["previous-token", "none of these"]


def ablation_table(verdicts: dict[str, tuple[str, str]], control: str = "heads") -> pd.DataFrame:
    """A table for induction heads: verdicts of zero and of mean ablation, by heads."""
    rows = [
        {"set": "induction", "heads": heads, "mode": mode, "part": part, "control": control, "verdict": verdict}
        for heads, each in verdicts.items()
        for mode, verdict in zip(("zero", "mean"), each, strict=True)
        for part in ("first", "repeat")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("alone", "together", "control", "confirmed"),
    [
        (("clear", "clear"), ("clear", "clear"), "heads", "alone"),
        (("clear", "not clear"), ("clear", "clear"), "heads", "together"),
        (("clear", "not clear"), ("not clear", "clear"), "heads", "no"),
        (("clear", "clear"), ("not clear", "clear"), "heads", "alone"),
        (("clear", "clear"), ("clear", "clear"), "directions", "alone, against directions"),
        (("not clear", "clear"), ("clear", "clear"), "directions", "together, against directions"),
        (("not clear", "clear"), ("not clear", "not clear"), "directions", "inconclusive"),
    ],
)
def test_a_head_is_confirmed_by_both_ablations_against_random_heads(alone, together, control, confirmed):
    scores = scores_of([{"induction": (0.5, 0.6, 0.7)}, {"induction": (0.5, 0.6, 0.7)}, {}])
    table = ablation_table({"1.0": alone, "1.1": ("not clear", "not clear"), "1.0 1.1": together}, control)
    labels = label_language_heads(scores, ablation=table)
    assert labels.loc[0, "confirmed"] == confirmed
    assert labels.loc[2, "confirmed"] == ""


@pytest.fixture(scope="module")
def circuit_labels():
    bridge, batch = induction_circuit(), sequences()
    scores = score_language_heads(bridge, batch)
    found = labelled_heads(label_language_heads(scores))
    ablation = ablation_of_heads(bridge, sequences(seed=1), found, reference=batch)
    return label_language_heads(scores, copying=score_copying(bridge), ablation=ablation)


def test_the_built_heads_bear_their_names_and_no_other_head_does(circuit_labels):
    assert labelled_heads(circuit_labels) == {
        "previous-token": [PREVIOUS],
        "duplicate-token": [DUPLICATE],
        "induction": [INDUCTION],
    }
    assert (circuit_labels["label"] == "none of these").sum() == 9


def test_only_what_the_circuit_needs_is_confirmed_and_only_the_induction_head_copies(circuit_labels):
    by_label = circuit_labels.set_index("label")
    assert by_label.loc[list(KINDS), "confirmed"].to_dict() == {
        "previous-token": "alone",
        "duplicate-token": "no",
        "induction": "alone",
    }
    assert by_label.loc[list(KINDS), "copies"].to_list() == [False, False, True]


SHAPES = {
    **FAMILIES,
    "one head": lambda seed: native(seed, n_heads=1, d_head=32),
    "many heads": lambda seed: native(seed, n_heads=16, d_head=4, n_layers=3),
    "wide": lambda seed: native(seed, d_model=128, d_head=32, normalization_type="LN"),
    "steep": lambda seed: native(seed, normalization_type="LN", initializer_range=0.5),
}


@pytest.mark.parametrize("build", SHAPES.values(), ids=SHAPES)
def test_twenty_random_initialisations_have_no_label(build):
    for seed in range(20):
        scores = score_language_heads(build(seed), n_sequences=4, period=20, seed=seed)
        assert (label_language_heads(scores)["label"] == "none of these").all()
