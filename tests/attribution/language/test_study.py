"""All evidence about one model, put together."""

import pandas as pd
import pytest
import torch

from interp.attribution.language import (
    ablation_of_heads,
    edge_effects,
    label_language_heads,
    labelled_heads,
    score_language_heads,
    study_heads,
)
from interp.models.language import evaluation_sequences
from tests.attribution.language.models import DUPLICATE, INDUCTION, PERIOD, PREVIOUS, gpt2, induction_circuit, native
from tests.errors import raises_exactly


@pytest.fixture(scope="module")
def circuit_study():
    return study_heads(induction_circuit(), n_sequences=4, period=PERIOD)


def test_the_circuit_is_found_and_confirmed(circuit_study):
    assert labelled_heads(circuit_study.labels) == {
        "previous-token": [PREVIOUS],
        "duplicate-token": [DUPLICATE],
        "induction": [INDUCTION],
    }
    confirmed = circuit_study.labels.set_index("label")["confirmed"]
    assert (confirmed["previous-token"], confirmed["duplicate-token"], confirmed["induction"]) == (
        "alone",
        "no",
        "alone",
    )


def test_composition_and_edges_are_from_previous_token_to_induction_heads(circuit_study):
    pairs = circuit_study.composition[["input", "from_layer", "from_head", "to_layer", "to_head"]]
    assert list(pairs.itertuples(index=False, name=None)) == [(name, 1, 0, 2, 0) for name in ("K", "Q", "V")]
    edges = circuit_study.edges
    assert set(edges.loc[edges["edge"] == "key input", "cut"]) == {"1.0"}
    assert set(edges.loc[edges["measure"] == "induction", "of"]) == {"2.0"}


def test_labels_are_held_against_three_untrained_twins(circuit_study):
    assert sorted(circuit_study.untrained["seed"].unique()) == [0, 1, 2]
    again = label_language_heads(circuit_study.scores, untrained=circuit_study.untrained)
    pd.testing.assert_frame_equal(circuit_study.labels[again.columns.to_list()], again)


def test_every_table_has_its_name(circuit_study):
    assert list(circuit_study.tables) == [
        "scores",
        "labels",
        "copying",
        "repeats",
        "positions",
        "composition",
        "ablation",
        "edges",
        "untrained",
    ]


def test_heads_are_found_on_other_sequences_than_they_are_tested_on():
    bridge = gpt2()
    study = study_heads(bridge, n_sequences=3, period=9, effects=False, n_untrained=0, seed=5)
    both = evaluation_sequences(bridge, n_sequences=6, period=9, seed=5)
    pd.testing.assert_frame_equal(study.scores, score_language_heads(bridge, both[:3]))


def test_heads_are_tested_on_sequences_that_had_no_part_in_finding_them(circuit_study):
    bridge = induction_circuit()
    both = evaluation_sequences(bridge, n_sequences=8, period=PERIOD)
    sets = labelled_heads(circuit_study.labels)
    ablation = ablation_of_heads(bridge, both[4:], sets, reference=both[:4])
    pd.testing.assert_frame_equal(circuit_study.ablation, ablation)
    pd.testing.assert_frame_equal(circuit_study.edges, edge_effects(bridge, both[4:], [PREVIOUS], [INDUCTION]))


def test_without_effects_nothing_is_ablated():
    study = study_heads(native(), n_sequences=2, period=9, effects=False, n_untrained=1)
    assert (study.ablation, study.edges) == (None, None)
    assert not {"ablation", "edges"} & set(study.tables)
    assert "confirmed" not in study.labels


def test_a_model_that_has_learnt_nothing_has_nothing_to_ablate():
    study = study_heads(gpt2(), n_sequences=2, period=9, n_untrained=0)
    assert (study.labels["label"] == "none of these").all()
    assert study.ablation is not None
    assert study.edges is not None
    assert study.ablation.empty
    assert study.edges.empty
    assert study.composition.empty
    assert study.untrained.empty


def test_a_study_is_a_function_of_the_seed():
    first, again = (study_heads(native(), n_sequences=2, period=9, n_untrained=1, seed=3) for _ in range(2))
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])


def test_a_study_draws_no_random_numbers_but_its_own_and_leaves_the_model_alone():
    bridge = native()
    weights = {name: weight.clone() for name, weight in bridge.state_dict().items()}
    before = torch.random.get_rng_state()
    study_heads(bridge, n_sequences=2, period=9, n_untrained=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(weight, weights[name]) for name, weight in bridge.state_dict().items())
    assert not any(point._forward_hooks for point in bridge.hook_dict.values())


def test_one_sequence_is_too_few():
    with raises_exactly(ValueError, "Intervals need at least 2 sequences, over which they are taken; got 1."):
        study_heads(gpt2(), n_sequences=1, period=9)
