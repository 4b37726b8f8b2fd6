"""Copying scores: eigenvalues of whole circuits, what centring removes, and a null that random heads belong to."""

import numpy as np
import pytest
import torch

from interp.attribution.language import circuits, score_copying
from interp.attribution.language import copying as module
from interp.attribution.language.circuits import Circuits, own_token_map
from tests.attribution.language.models import FAMILIES, INDUCTION, gpt2, induction_circuit, llama, native
from tests.errors import raises_exactly

families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)


def head_of(table, head):
    return table.set_index(["layer", "head"]).loc[(head[0] + 1, head[1])]


def whole_circuit(bridge, layer, head, *, centred):
    """W_E W_V W_O W_U [token token], with gains of norms folded in, in float64."""
    block = bridge.blocks[layer]
    W_E, W_U = bridge.W_E.double(), bridge.W_U.double()
    W_V, W_O = bridge.OV.A[layer, head].double(), bridge.OV.B[layer, head].double()
    offset = int(bridge.cfg.architecture == "Gemma2ForCausalLM")
    if (gain := getattr(block.ln1, "weight", None)) is not None:
        W_V = (offset + gain.double())[:, None] * W_V
        W_U = (offset + bridge.ln_final.weight.double())[:, None] * W_U
    if offset:
        W_O = W_O * (1 + block.ln1_post.weight.double())
    if bridge.cfg.normalization_type == "LN":
        W_V, W_U = W_V - W_V.mean(0), W_U - W_U.mean(0)
    if centred:
        W_E, W_U = W_E - W_E.mean(0), W_U - W_U.mean(1, keepdim=True)
    return W_E @ W_V @ W_O @ W_U


def give_gains(bridge):
    """Norms that scale every coordinate differently, as trained ones do."""
    generator = torch.Generator().manual_seed(3)
    after = [block.ln1_post for block in bridge.blocks if hasattr(block, "ln1_post")]
    for norm in [*(block.ln1 for block in bridge.blocks), *after, bridge.ln_final]:
        if (gain := getattr(norm.original_component, "weight", None)) is not None:
            gain.data.copy_(torch.rand(gain.shape, generator=generator) + 0.5)
    return bridge


NORMS = {
    **FAMILIES,
    "native with LNPre": lambda: native(normalization_type="LNPre"),
    "native with RMSPre": lambda: native(normalization_type="RMSPre"),
}


@pytest.mark.parametrize("build", NORMS.values(), ids=NORMS)
@torch.no_grad()
def test_weights_behind_a_norm_read_what_the_norm_lets_through_up_to_its_size(build):
    bridge = give_gains(build())
    generator = torch.Generator().manual_seed(0)
    stream, weights = torch.randn(6, 32, generator=generator), torch.randn(32, 5, generator=generator)
    read = stream @ circuits._behind(bridge.blocks[0].ln1, weights)
    through = bridge.blocks[0].ln1.original_component(stream) @ weights
    torch.testing.assert_close(through / read, (through / read)[:, :1].expand(-1, 5), rtol=1e-3, atol=0)


@families
@torch.no_grad()
def test_ratios_are_those_of_the_eigenvalues_of_the_whole_circuit(build):
    bridge = give_gains(build())
    table = score_copying(bridge)
    for layer, head in ((0, 0), (1, 3)):
        row = head_of(table, (layer, head))
        for name, centred in (("plain", False), ("copying", True)):
            eigenvalues = torch.linalg.eigvals(whole_circuit(bridge, layer, head, centred=centred))
            expected = eigenvalues.sum().real / eigenvalues.abs().sum()
            # All but d_head of its 50 eigenvalues are 0, up to rounding that is not small beside tiny circuits.
            assert row[name] == pytest.approx(expected.item(), abs=1e-4)


@families
@torch.no_grad()
def test_the_own_token_map_has_the_trace_of_the_whole_circuit(build):
    bridge = give_gains(build())
    of_heads = Circuits.of(bridge)
    for centred in (False, True):
        between = own_token_map(bridge, centred=centred)
        found = (of_heads.W_O[1, 2].double() @ between @ of_heads.W_V[1, 2].double()).trace()
        expected = whole_circuit(bridge, 1, 2, centred=centred).trace()
        assert found.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-7)


def test_the_map_does_not_depend_on_how_many_tokens_are_taken_at_a_time(monkeypatch):
    bridge = llama()
    whole = own_token_map(bridge, centred=True)
    monkeypatch.setattr("interp.attribution.language.circuits.TOKENS_AT_ONCE", 7)
    torch.testing.assert_close(own_token_map(bridge, centred=True), whole)


def test_the_built_induction_head_copies_and_no_other_head_does():
    table = score_copying(induction_circuit())
    row = head_of(table, INDUCTION)
    assert (row["plain"], row["copying"]) == pytest.approx((1, 1))
    # One of the 132 mismatched pairs copies too: the previous-token head has the same values.
    assert row["p_value"] == pytest.approx(2 / 133)
    assert (table.loc[table["copying"] < 0.99, "copying"] < row["null_high"]).all()
    assert (table["copying"] > 0.99).sum() == 1


def test_a_head_that_subtracts_its_token_scores_minus_1():
    bridge = induction_circuit()
    with torch.no_grad():
        bridge.blocks[1].attn.o.original_component.weight.mul_(-1)
    row = head_of(score_copying(bridge), INDUCTION)
    assert row["copying"] == pytest.approx(-1)
    assert row["percentile"] == 0
    assert row["p_value"] == 1


def test_a_head_that_writes_nothing_scores_0():
    bridge = native()
    with torch.no_grad():
        bridge.blocks[0].attn.o.original_component.weight[:, :8] = 0
    row = head_of(score_copying(bridge), (0, 0))
    assert (row["plain"], row["copying"], row["own_logit"]) == (0, 0, 0)


@torch.no_grad()
def test_what_tied_embeddings_share_decides_the_plain_ratio_and_not_the_centred_one():
    """Random heads then seem to copy, or to do the opposite, by how they happen to treat one direction."""
    bridge = gpt2()
    assert bridge.unembed.original_component.weight is bridge.embed.original_component.weight
    common = torch.randn(32, generator=torch.Generator().manual_seed(0))
    bridge.embed.original_component.weight.add_(common)
    table = score_copying(bridge)
    assert table["plain"].abs().median() > 0.99
    assert set(np.sign(table["plain"])) == {-1, 1}
    assert table["copying"].abs().max() < 0.6
    assert (table["p_value"] > 0.05).all()


@families
def test_random_heads_lie_within_the_null(build):
    """Over 20 initialisations, no more p-values fall below 0.05 than chance allows."""
    p_values = np.concatenate([score_copying(build(seed), n_pairs=200)["p_value"] for seed in range(20)])
    # Heads of one model share embeddings, so that their values hang together; 0.05 would be expected.
    assert (p_values <= 0.05).mean() < 0.12
    assert 0.35 < p_values.mean() < 0.65


def test_mismatched_pairs_never_share_values():
    for n_layers, n_heads, group in ((2, 4, 1), (2, 4, 2), (3, 6, 3)):
        value_of, output_of = module._mismatched(n_layers, n_heads, group, 10_000, seed=0)
        assert (value_of // group != output_of // group).all()
        n_total = n_layers * n_heads
        assert len(value_of) == n_total * (n_total - group)


def test_pairs_are_drawn_where_there_are_many():
    first, again, other = (torch.stack(module._mismatched(2, 8, 1, 50, seed=seed)).T.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len({tuple(pair) for pair in first}) == 50


def test_own_logit_is_in_units_of_its_deviation_under_random_turns():
    generator = torch.Generator().manual_seed(0)
    circuit = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    turns = torch.linalg.qr(torch.randn(20_000, 8, 8, generator=generator, dtype=torch.float64)).Q
    # QR's turns are uniform only up to signs of columns.
    turns = turns * torch.where(torch.rand(20_000, 1, 8, generator=generator) < 0.5, -1.0, 1.0).double()
    traces = (circuit @ turns).diagonal(dim1=-2, dim2=-1).sum(-1)
    assert module._own_logit(circuit) == pytest.approx((circuit.trace() / traces.std()).item(), rel=0.02)


def test_a_model_of_one_head_has_no_null():
    message = "A null of mismatched heads needs heads with different values; this model has none."
    with raises_exactly(ValueError, message):
        score_copying(native(n_layers=1, n_heads=1))
