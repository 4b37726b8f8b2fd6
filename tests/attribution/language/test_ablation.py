"""Ablation does what editing the weights would do, and finds the circuit that was built in."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from interp.attribution.language import ablation_of_heads, heads_ablated, mean_outputs
from interp.attribution.language.directions import random_directions_taken
from interp.attribution.language.losses import repeated_targets
from interp.tasks import RepeatedTokens
from tests.attribution.language.models import (
    DUPLICATE,
    FAMILIES,
    INDUCTION,
    PREVIOUS,
    induction_circuit,
    llama,
    native,
    sequences,
)
from tests.errors import raises_exactly

families = pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
SETS = {"previous-token": [PREVIOUS], "duplicate-token": [DUPLICATE], "induction": [INDUCTION]}


def some_tokens(n_sequences: int = 4):
    return RepeatedTokens(d_vocab=50, n_pos=19, shortest=9, longest=9).sample(n_sequences)


def zero_outputs(bridge, heads):
    """Take a head's output away by its weights: rows of W_O, stored in x out in GPT-2 and out x in elsewhere."""
    d_head = bridge.cfg.d_head
    for layer, head in heads:
        own = slice(head * d_head, (head + 1) * d_head)
        out = bridge.blocks[layer].attn.o.original_component
        (out.weight[own] if type(out).__name__ == "Conv1D" else out.weight.T[own]).zero_()


def hooks_of(bridge) -> int:
    return sum(len(point._forward_hooks) for point in set(bridge.hook_dict.values()))  # some have two names


@families
@torch.no_grad()
def test_silencing_a_set_equals_zeroing_its_output_weights(build):
    bridge, tokens, heads = build(dtype=torch.float64), some_tokens().tokens, [(0, 1), (0, 3), (1, 2)]
    plain = bridge(tokens)
    with heads_ablated(bridge, heads):
        found = bridge(tokens)
    assert torch.equal(bridge(tokens), plain)
    zero_outputs(bridge, heads)
    assert_close(found, bridge(tokens))
    assert not torch.isclose(found, plain).all()


@families
@torch.no_grad()
def test_mean_ablation_writes_the_mean_output_at_every_position(build):
    bridge, batch = build(dtype=torch.float64), some_tokens()
    _, cache = bridge.run_with_cache(batch.tokens)
    means = mean_outputs(bridge, batch)
    for layer in range(bridge.cfg.n_layers):
        assert_close(means[layer], cache["z", layer].mean(0))
    with heads_ablated(bridge, [(0, 1), (1, 2)], means):
        _, ablated = bridge.run_with_cache(batch.tokens)
    assert_close(ablated["z", 0][:, :, 1], cache["z", 0][:, :, 1].mean(0).expand_as(cache["z", 0][:, :, 1]))
    for head in (0, 2, 3):
        assert torch.equal(ablated["z", 0][:, :, head], cache["z", 0][:, :, head])


def test_means_do_not_depend_on_batches(monkeypatch):
    bridge, batch = llama(), some_tokens(5)
    whole = mean_outputs(bridge, batch)
    monkeypatch.setattr("interp.attribution.language.observe.BYTES_AT_ONCE", 1)
    assert_close(mean_outputs(bridge, batch), whole)


@torch.no_grad()
def test_sequences_that_are_all_the_same_are_not_changed_by_mean_ablation():
    bridge, batch = native(), some_tokens(1)[torch.zeros(4, dtype=torch.long)]
    with heads_ablated(bridge, [(0, 0), (1, 1)], mean_outputs(bridge, batch)):
        assert_close(bridge(batch.tokens), bridge(batch.tokens))


@torch.no_grad()
def test_a_hook_of_the_callers_own_stays_and_no_other():
    bridge, tokens = native(), some_tokens().tokens
    before = bridge(tokens)
    bridge.add_hook("blocks.0.attn.hook_z", lambda z, hook: None)
    with heads_ablated(bridge, [(0, 0), (1, 0)]):
        assert hooks_of(bridge) == 3
    with pytest.raises(KeyError, match=r"^'mine'$"), heads_ablated(bridge, [(0, 0), (1, 0)]):
        raise KeyError("mine")
    assert hooks_of(bridge) == 1
    assert torch.equal(bridge(tokens), before)


@families
@torch.no_grad()
def test_random_directions_are_as_long_as_what_ablation_takes(build):
    bridge, batch, heads = build(dtype=torch.float64), some_tokens(), [(0, 1), (0, 2)]
    for means in (None, mean_outputs(bridge, batch)):
        _, clean = bridge.run_with_cache(batch.tokens)
        with heads_ablated(bridge, heads, means):
            _, ablated = bridge.run_with_cache(batch.tokens)
        with random_directions_taken(bridge, heads, torch.Generator().manual_seed(0), means):
            _, perturbed = bridge.run_with_cache(batch.tokens)
        by_ablation = clean["attn_out", 0] - ablated["attn_out", 0]
        at_random = clean["attn_out", 0] - perturbed["attn_out", 0]
        assert_close(at_random.norm(dim=-1), by_ablation.norm(dim=-1))
        assert torch.cosine_similarity(at_random, by_ablation, dim=-1).mean().abs() < 0.2


@pytest.fixture(scope="module")
def effects():
    return ablation_of_heads(induction_circuit(), sequences(), SETS, reference=sequences(20, seed=1))


def of(effects, heads, mode, part):
    chosen = (effects["heads"] == heads) & (effects["mode"] == mode) & (effects["part"] == part)
    (row,) = effects[chosen].to_dict("records")
    return row


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("heads", ["1.0", "2.0", "1.0 1.1 2.0"])
def test_without_the_circuit_the_repeat_is_lost_and_random_heads_cost_nothing(effects, heads, mode):
    row = of(effects, heads, mode, "repeat")
    assert row["verdict"] == "clear"
    assert row["control"] == "heads"
    assert row["ci_low"] > 1
    assert abs(row["random_high"]) < 1e-3


def test_without_the_whole_circuit_the_repeat_is_no_better_than_the_first_pass(effects):
    first, repeat = (of(effects, "1.0 1.1 2.0", "zero", part)["loss"] for part in ("first", "repeat"))
    assert repeat == pytest.approx(first, abs=0.01)
    assert repeat == pytest.approx(np.log(16), abs=0.02)


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_a_head_that_writes_nothing_is_not_missed(effects, mode):
    for part in ("first", "repeat"):
        row = of(effects, "1.1", mode, part)
        assert (row["change"], row["ci_low"], row["ci_high"]) == (0, 0, 0)
        assert row["verdict"] == "not clear"


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_the_change_is_that_of_the_mean_loss(mode):
    bridge, batch, others = native(initializer_range=0.5), some_tokens(), some_tokens(7)[4:]
    effects = ablation_of_heads(bridge, batch, {"induction": [(1, 2)]}, reference=others, n_draws=3)
    repeated = torch.from_numpy(repeated_targets(batch))

    def repeat_loss() -> float:
        with torch.no_grad():
            return bridge(batch.tokens, return_type="loss", loss_per_token=True)[repeated].mean().item()

    before = repeat_loss()
    with heads_ablated(bridge, [(1, 2)], mean_outputs(bridge, others) if mode == "mean" else None):
        after = repeat_loss()
    row = of(effects, "2.2", mode, "repeat")
    assert row["loss"] == pytest.approx(after, abs=1e-5)
    assert row["change"] == pytest.approx(after - before, abs=1e-5)
    assert abs(row["change"]) > 1e-3


def test_where_all_heads_of_a_layer_are_found_directions_are_the_control():
    everything = {"induction": [(1, head) for head in range(6)]}
    effects = ablation_of_heads(induction_circuit(), sequences(), everything, reference=sequences(seed=1), n_draws=4)
    assert (effects["control"] == "directions").all()
    assert (effects["n_random"] == 4).all()
    alone = of(effects, "2.0", "zero", "repeat")
    together = of(effects, "2.0 2.1 2.2 2.3 2.4 2.5", "zero", "repeat")
    assert alone["verdict"] == together["verdict"] == "clear"
    assert alone["random"] > 0  # a direction as long as an answer, among 74, disturbs a little


@pytest.mark.parametrize(("n_heads", "control"), [(8, "heads"), (2, "directions")])
def test_tables_are_a_function_of_the_seed(n_heads, control):
    bridge, batch, sets = native(n_heads=n_heads, d_head=4), some_tokens(), {"induction": [(1, 0)]}
    first, again, other = (
        ablation_of_heads(bridge, batch, sets, reference=batch, n_draws=3, seed=seed) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["control"] == control).all()
    assert not np.isclose(first["random"], other["random"], rtol=1e-3, atol=0).any()
    pd.testing.assert_series_equal(first["change"], other["change"])


def test_no_heads_give_an_empty_table():
    batch = some_tokens()
    full = ablation_of_heads(native(), batch, {"induction": [(1, 0)]}, reference=batch, n_draws=1)
    empty = ablation_of_heads(native(), batch, {}, reference=batch)
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


@pytest.mark.parametrize("head", [(2, 0), (-1, 0), (0, 4), (0, -1)])
def test_a_head_that_the_model_lacks_is_refused(head):
    message = (
        f"There is no head {head[1]} in block {head[0]}: the model has 2 block(s), counted from 0, with 4 head(s) each."
    )
    with raises_exactly(ValueError, message), heads_ablated(native(), [head]):
        pass
    with raises_exactly(ValueError, message):
        ablation_of_heads(native(), some_tokens(), {"induction": [head]}, reference=some_tokens())


def test_a_reference_of_another_length_is_refused():
    message = "Means at each position need a reference as long as the sequences, 25 tokens, got 19."
    other = RepeatedTokens(d_vocab=16, n_pos=19, shortest=9, longest=9).sample(2)
    with raises_exactly(ValueError, message):
        ablation_of_heads(induction_circuit(), sequences(), SETS, reference=other)
