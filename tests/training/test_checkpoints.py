import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.models.build import build_model
from interp.models.folders import weights_checksum
from interp.training import checkpoint_steps, load_checkpoint, train
from interp.training.checkpoints import checkpoint_path, is_kept, restore_checkpoint
from tests.errors import raises_exactly
from tests.training.recipes import tiny_recipe, transformer_of


def test_kept_steps_are_evenly_spaced_on_a_logarithmic_scale():
    kept = [step for step in range(20_001) if is_kept(step)]
    assert kept[:9] == [0, 1, 2, 3, 4, 6, 7, 10, 13]
    for decade in (10, 100, 1000):
        assert sum(decade <= step < 10 * decade for step in kept) == 8


def test_a_run_keeps_log_spaced_checkpoints_and_its_last_point(tmp_path):
    train(tiny_recipe(steps=27, warmup=0), tmp_path / "run")
    assert checkpoint_steps(tmp_path / "run") == [0, 1, 2, 3, 4, 6, 7, 10, 13, 18, 24, 27]


@given(every=st.integers(1, 50), step=st.integers(0, 5000))
def test_multiples_of_keep_every_are_kept_beside_the_log_spaced_steps(every, step):
    assert is_kept(step, every) == (is_kept(step) or step % every == 0)


@pytest.mark.parametrize("resume_every", [2, 500])
def test_a_run_keeps_every_so_many_updates_beside_the_log_spaced_ones(tmp_path, resume_every):
    recipe = tiny_recipe(steps=31, warmup=0, keep_every=8, resume_every=resume_every)
    train(recipe, tmp_path / "run")
    assert checkpoint_steps(tmp_path / "run") == [0, 1, 2, 3, 4, 6, 7, 8, 10, 13, 16, 18, 24, 31]


def test_the_checkpoints_that_are_kept_do_not_change_the_weights(tmp_path):
    often = train(tiny_recipe(steps=12, keep_every=1), tmp_path / "often")
    assert checkpoint_steps(tmp_path / "often") == list(range(13))
    assert weights_checksum(often) == weights_checksum(train(tiny_recipe(steps=12), tmp_path / "seldom"))


@pytest.mark.parametrize("step", [0, 7, 24])
def test_a_checkpoint_is_the_model_as_it_was_then(tmp_path, step):
    """With a constant rate a run of fewer updates is the beginning of a longer one."""
    longer = tiny_recipe(schedule="constant", steps=25)
    train(longer, tmp_path / "run", seed=3)
    then = load_checkpoint(tmp_path / "run", step)
    expected = then.untrained_twin(3) if step == 0 else train(tiny_recipe(schedule="constant", steps=step), seed=3)
    assert weights_checksum(then) == weights_checksum(expected)


def test_there_are_no_checkpoints_where_there_is_no_run(tmp_path):
    assert checkpoint_steps(tmp_path / "nowhere") == []


def test_a_step_without_a_checkpoint_is_refused(tmp_path):
    train(tiny_recipe(steps=2, warmup=0), tmp_path / "run")
    with raises_exactly(
        FileNotFoundError,
        f"{tmp_path / 'run' / 'checkpoints'} has no step-00000009.safetensors; it may be an unfinished run.",
    ):
        load_checkpoint(tmp_path / "run", 9)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    train(tiny_recipe(steps=2, warmup=0), tmp_path / "run")
    path = checkpoint_path(tmp_path / "run", 2)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(
        ValueError, match=r"is truncated or not a safetensors file \(.+\); restore it, or train again\.$"
    ):
        load_checkpoint(tmp_path / "run", 2)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    train(tiny_recipe(steps=2, warmup=0), tmp_path / "run")
    other = tiny_recipe(steps=2, warmup=0)
    from dataclasses import replace

    train(replace(other, model=replace(transformer_of(other), head_width=5)), tmp_path / "other")
    checkpoint_path(tmp_path / "other", 2).replace(checkpoint_path(tmp_path / "run", 2))
    with raises_exactly(
        ValueError,
        f"{checkpoint_path(tmp_path / 'run', 2)} holds shape (2, 4, 5) for blocks.0.attn.W_Q, "
        "expected shape (2, 4, 2).",
    ):
        load_checkpoint(tmp_path / "run", 2)


def test_a_checkpoint_holds_the_optimisers_state(tmp_path):
    from safetensors.torch import load_file

    train(tiny_recipe(steps=6), tmp_path / "run")
    tensors = load_file(checkpoint_path(tmp_path / "run", 6))
    assert tensors["optimizer.step.blocks.0.attn.W_Q"].item() == 6
    assert tensors["optimizer.exp_avg_sq.blocks.1.mlp.W_in"].any()
    assert torch.equal(tensors["model.blocks.0.attn.W_Q"], load_checkpoint(tmp_path / "run", 6).blocks[0].attn.W_Q)


def test_all_of_the_optimisers_state_comes_back_to_the_device_of_the_weights(tmp_path):
    """The fused optimiser of a CUDA device reads its number of updates there; the meta device stands in for it."""
    recipe = tiny_recipe(steps=3, warmup=0)
    train(recipe, tmp_path / "run")
    model = build_model(recipe.model, recipe.task).to("meta")
    optimizer = torch.optim.AdamW(model.parameters())
    restore_checkpoint(tmp_path / "run", 3, model, optimizer)
    devices = {name: {state[name].device.type for state in optimizer.state.values()} for name in ("step", "exp_avg")}
    assert devices == {"step": {"meta"}, "exp_avg": {"meta"}}
