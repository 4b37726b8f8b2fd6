"""Composition scores, against TransformerLens's and against whole matrices."""

import pytest
import torch

from interp.attribution.language import score_composition
from interp.attribution.language.circuits import Circuits
from tests.attribution.language.models import FAMILIES, INDUCTION, PREVIOUS, induction_circuit, llama, native

families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
PLAIN = {name: build for name, build in FAMILIES.items() if name not in ("native with LayerNorm", "GPT-2")}
"""Models whose norms, untrained, leave the weights as they are: LayerNorms subtract a mean."""


@pytest.mark.parametrize("build", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("name", ["K", "Q", "V"])
def test_scores_are_those_of_transformer_lens(build, name):
    bridge = build(dtype=torch.float64)
    theirs = bridge.all_composition_scores(name)
    for row in score_composition(bridge, inputs=(name,)).to_dict("records"):
        expected = theirs[row["from_layer"] - 1, row["from_head"], row["to_layer"] - 1, row["to_head"]].item()
        assert row["score"] == pytest.approx(expected, rel=1e-6)


@families
def test_scores_are_norms_of_whole_products(build):
    bridge = build(dtype=torch.float64)
    circuits = Circuits.of(bridge)
    written = circuits.W_V[0, 1] @ circuits.W_O[0, 1]
    whole = {
        "K": circuits.W_K[1, 2] @ circuits.W_Q[1, 2].T,
        "Q": circuits.W_Q[1, 2] @ circuits.W_K[1, 2].T,
        "V": circuits.W_V[1, 2] @ circuits.W_O[1, 2],
    }
    table = score_composition(bridge, [(0, 1)], [(1, 2)], inputs=("K", "Q", "V")).set_index("input")
    for name, read in whole.items():
        expected = (written @ read).norm() / written.norm() / read.norm()
        assert table.loc[name, "score"] == pytest.approx(expected.item(), rel=1e-9)


def test_the_induction_head_reads_its_keys_from_the_previous_token_head_and_nothing_else_of_it():
    table = score_composition(induction_circuit(), inputs=("K", "Q", "V"))
    of_pair = table[(table["from_head"] == PREVIOUS[1]) & (table["to_head"] == INDUCTION[1])].set_index("input")
    # 16 equal directions meet 16 equal directions: 4 / (4 * 4).
    assert of_pair["score"].to_dict() == pytest.approx({"K": 0.25, "Q": 0, "V": 0})
    assert of_pair["high"].to_dict()["K"] < 0.2


def test_a_head_that_writes_nothing_composes_with_none():
    bridge = induction_circuit()
    assert (score_composition(bridge, [(0, 1)])["score"] == 0).all()


def test_the_baseline_is_of_all_pairs_between_the_two_layers():
    bridge = native(n_layers=3)
    everything = score_composition(bridge)
    one = score_composition(bridge, [(0, 1)], [(2, 3)])
    of_layers = everything[(everything["from_layer"] == 1) & (everything["to_layer"] == 3)]
    assert len(of_layers) == 16
    assert one["low"].item() == pytest.approx(of_layers["score"].quantile(0.025))
    assert one["high"].item() == pytest.approx(of_layers["score"].quantile(0.975))


def test_pairs_of_random_heads_score_about_chance():
    table = score_composition(native(d_model=64, n_heads=8, n_layers=3))
    assert (table["score"] ** 2).mean() ** 0.5 == pytest.approx(table["chance"][0], rel=0.05)


def test_only_earlier_layers_are_read():
    table = score_composition(llama(), inputs=("K", "Q"))
    assert (table["from_layer"] < table["to_layer"]).all()
    assert len(table) == 2 * 4 * 4
    assert score_composition(llama(), [(1, 0)], [(0, 0)]).empty
    assert list(score_composition(llama(), [], []).columns) == list(table.columns)
