"""Token dependency from checkpoint to checkpoint, ours and the published one, where the Jacobian is known."""

import math
from pathlib import Path

import pandas as pd
import pytest

import interp
from interp.attribution import (
    dependency_over_training,
    find_transition,
    published_sensitivity,
    published_sensitivity_over_training,
    token_dependency,
)
from interp.matching.readouts import prompt_losses
from tests.attribution.copiers import x_reads_its_y
from tests.errors import raises_exactly
from tests.matching.runs import run_of
from tests.models.tiny import INTERLEAVED, tiny_model

DIM = 3
OWN = math.sqrt(DIM + 1)
"""Frobenius norm of the identity on a token: what the stream's own token counts before any attention."""


@pytest.fixture(scope="module")
def learning(tmp_path_factory) -> Path:
    """A run that has learnt nothing at updates 0 to 2 and copies from update 3 on."""
    copying = interp.load(f"copy:dim={DIM},points=6")
    untrained = copying.untrained_twin(0)
    checkpoints = {0: untrained, 1: untrained, 2: untrained, 3: copying, 4: copying, 6: copying}
    return run_of(tmp_path_factory.mktemp("runs") / "run", checkpoints)


@pytest.fixture(scope="module")
def prompts():
    return x_reads_its_y(DIM).task.sample(100)


def at(table: pd.DataFrame, update: int) -> dict[tuple[str, ...], float]:
    """By (reader, source), or (source,), the values at a checkpoint."""
    rows = table[table["update"] == update]
    names = [name for name in ("reader", "source") if name in rows]
    return dict(zip(rows[names].itertuples(index=False, name=None), rows["value"], strict=True))


def test_a_construction_depends_on_its_own_token_and_takes_one_number_from_the_next(learning, prompts):
    found = at(dependency_over_training(learning, prompts), 6)
    # One-hot attention has no slope of its own; an x takes the y slot of the next token, and so does a y, as its state
    # would change with it if the next x had a y.
    expected = {"own": OWN, "next": 1.0, "previous": 0.0, "others": 0.0}
    assert found == pytest.approx({(reader, source): expected[source] for reader in "xy" for source in expected})


def test_means_are_of_the_norms_that_token_dependency_gives(learning, prompts):
    found = at(dependency_over_training(learning, prompts, checkpoints=[0]), 0)
    model = interp.load(learning).untrained_twin(0)
    norms = token_dependency(model, prompts[:64], 1)
    assert found["x", "next"] == pytest.approx(norms[[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]].mean().item())
    assert found["y", "previous"] == pytest.approx(norms[[1, 3, 5, 7, 9], [0, 2, 4, 6, 8]].mean().item())
    assert found["x", "previous"] == pytest.approx(norms[[2, 4, 6, 8], [1, 3, 5, 7]].mean().item())
    beyond = [norms[y, other].item() for y in (1, 3, 5, 7, 9) for other in range(10) if abs(y - other) > 1]
    assert found["y", "others"] == pytest.approx(sum(beyond) / len(beyond))


def test_losses_are_those_of_the_checkpoints_on_all_prompts(learning, prompts):
    table = dependency_over_training(learning, prompts, checkpoints=[0, 6])
    trained = interp.load(learning)
    for update, model in ((0, trained.untrained_twin(0)), (6, trained)):
        assert table.loc[table["update"] == update, "loss"].unique() == pytest.approx(
            prompt_losses(model, prompts).mean()
        )


def test_the_transition_lies_between_the_checkpoints_where_copying_begins(learning, prompts):
    found = find_transition(dependency_over_training(learning, prompts))
    assert (found.loss[0].between, found.dependency[0].between) == ((2, 3), (2, 3))
    assert (found.order, found.sudden) == ("together", True)
    assert found.dependency[0].after == pytest.approx(1)


def test_the_published_measure_of_the_construction(prompts):
    """Summed channels: the own token counts once per coordinate, the next through its y; x and y alike."""
    found = published_sensitivity(x_reads_its_y(DIM), prompts)
    assert found == pytest.approx({"own": OWN, "next": 1.0, "other": 1 / 9})  # the next is one of nine others


def test_the_published_measure_cancels_what_has_different_signs_and_ours_does_not(prompts):
    """After the step of GD an x token depends on the other xs by terms of either sign, as their ys are."""
    model = x_reads_its_y(DIM)
    cancelled = published_sensitivity(model, model.task.sample(2000), layer=2)["other"]
    ours = token_dependency(model, prompts, 2)[:10, :10]
    others = (ours.sum() - ours.diagonal().sum()) / 90
    assert cancelled - 1 / 9 < 0.5 * (others - 1 / 9)


def test_the_published_measure_follows_the_same_checkpoints(learning, prompts):
    table = published_sensitivity_over_training(learning, prompts, checkpoints=[0, 6])
    assert at(table, 6) == pytest.approx({("own",): OWN, ("next",): 1.0, ("other",): 1 / 9}, rel=1e-5)
    ours = dependency_over_training(learning, prompts, checkpoints=[0, 6])
    columns = ["update", "loss", "loss_low", "loss_high"]
    assert table[columns].drop_duplicates().to_dict("records") == ours[columns].drop_duplicates().to_dict("records")


@pytest.mark.parametrize("follow", [dependency_over_training, published_sensitivity_over_training])
def test_a_folder_without_checkpoints_is_refused(follow, tmp_path, prompts):
    message = f"{tmp_path} has no checkpoints to follow training by; give a run folder that `interp train` wrote."
    with raises_exactly(FileNotFoundError, message):
        follow(tmp_path, prompts)


def test_a_single_layer_can_be_followed_too(tmp_path):
    model = tiny_model(layout=INTERLEAVED, random_biases=False).float()
    folder = run_of(tmp_path / "run", {0: model, 1: model})
    prompts = model.task.sample(8)
    table = dependency_over_training(folder, prompts, layer=2, checkpoints=[1])
    norms = token_dependency(model, prompts, 2)
    assert at(table, 1)["x", "own"] == pytest.approx(norms.diagonal()[[0, 2, 4, 6, 8]].mean().item(), rel=1e-6)
