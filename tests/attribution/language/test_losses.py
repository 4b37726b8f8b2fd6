"""Losses by position and by pass, against losses computed one token at a time."""

from math import log

import numpy as np
import pytest
import torch

from interp.attribution.language import position_losses, repeat_losses
from interp.attribution.language.losses import repeated_targets
from interp.tasks import RepeatedTokens, TokenSequences
from tests.attribution.language.models import D_VOCAB, FAMILIES, PERIOD, induction_circuit, native, sequences
from tests.errors import raises_exactly


def test_a_target_can_be_looked_up_once_its_query_has_come_again():
    tokens = torch.tensor([[0, 7, 8, 9, 7, 8, 9], [0, 7, 8, 7, 8, 7, 8]])
    batch = TokenSequences(tokens, torch.tensor([3, 2]), n_before=1)
    # Targets are the tokens from position 1 on; the second 7 follows a token whose successor nobody has seen.
    assert repeated_targets(batch).tolist() == [
        [False, False, False, False, True, True],
        [False, False, False, True, True, True],
    ]


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_losses_are_means_of_minus_log_probabilities(build):
    bridge = build()
    task = RepeatedTokens(d_vocab=50, n_pos=24, shortest=5, longest=9)
    batch = task.sample(4)
    with torch.no_grad():
        log_probabilities = bridge(batch.tokens).double().log_softmax(-1)
    losses = -log_probabilities[:, :-1].gather(-1, batch.tokens[:, 1:, None])[..., 0].numpy()
    by_position = position_losses(bridge, batch)
    assert by_position["position"].to_list() == list(range(1, 24))
    assert by_position["loss"].to_numpy() == pytest.approx(losses.mean(0), abs=1e-5)
    first, repeat = [], []
    for prompt, period in enumerate(batch.periods.tolist()):
        first.append(losses[prompt, : 1 + period].mean())
        repeat.append(losses[prompt, 1 + period :].mean())
    by_part = repeat_losses(bridge, batch).set_index("part")["loss"]
    assert by_part.to_dict() == pytest.approx(
        {"first": np.mean(first), "repeat": np.mean(repeat), "gain": np.mean(first) - np.mean(repeat)}, abs=1e-5
    )


def test_the_circuit_knows_every_repeated_token():
    bridge, batch = induction_circuit(), sequences()
    table = repeat_losses(bridge, batch).set_index("part")
    assert table["ci_high"].to_dict()["repeat"] < 1e-6
    assert table["ci_low"].to_dict()["first"] > log(D_VOCAB)
    assert table["chance"].to_list() == [log(D_VOCAB), log(D_VOCAB), 0]
    by_position = position_losses(bridge, batch).set_index("position")
    assert (by_position.loc[PERIOD + 2 :, "loss"] < 1e-6).all()
    assert (by_position.loc[: PERIOD + 1, "loss"] > 1).all()
    assert by_position["repeated"].to_list() == [0.0] * (PERIOD + 1) + [1.0] * (PERIOD - 1)


def test_intervals_hold_the_mean():
    table = position_losses(native(), RepeatedTokens(d_vocab=50, n_pos=20, shortest=8, longest=8).sample(6))
    assert ((table["ci_low"] < table["loss"]) & (table["loss"] < table["ci_high"])).all()


def test_sequences_that_do_not_come_again_are_refused():
    batch = TokenSequences(torch.arange(16).reshape(2, 8), torch.tensor([4, 7]))
    message = (
        "Some of these sequences of 8 tokens end before a token that could be looked up: each needs its period, its "
        "first token again, and the one after. evaluation_sequences draws such sequences."
    )
    with raises_exactly(ValueError, message):
        repeat_losses(native(), batch)
    assert position_losses(native(), batch)["repeated"].to_list() == [0, 0, 0, 0, 0.5, 0.5, 0.5]
