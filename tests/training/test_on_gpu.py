"""Training on a CUDA device."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

from interp.models import load_folder
from interp.models.compiled import is_compiled
from interp.models.folders import weights_checksum
from interp.tasks import ConditionNumber, DecisionTrees, LinearRegression, ReluNetworks, SineWaves
from interp.training import train, train_ensemble
from interp.training.curriculum import Curriculum, Ramp
from interp.training.data import training_prompts
from tests.training import recipes as recipes_module
from tests.training.recipes import GPT2, distance, tiny_recipe, train_and_stop

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("unchecked")]

TASKS = [
    LinearRegression(dim=3, n_points=5, noise_std=0.1, covariance=ConditionNumber(value=10.0)),
    LinearRegression(dim=3, n_points=5, sparsity=2, orthants=True),
    ReluNetworks(dim=3, n_points=5),
    DecisionTrees(dim=3, n_points=5),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_prompts_are_drawn_on_the_device(task):
    recipe = tiny_recipe(task=task)
    first, again = (training_prompts(recipe, 0, 3, "cuda") for _ in range(2))
    assert first.xs.device.type == first.ys.device.type == "cuda"
    assert torch.equal(first.xs, again.xs)
    assert first.xs.cpu().std().item() == pytest.approx(training_prompts(recipe, 0, 3).xs.std().item(), rel=0.3)


def test_sine_waves_are_drawn_there_too():
    with torch.device("cuda"):
        assert SineWaves(n_points=5).sample(4).ys.device.type == "cuda"


def test_a_fixed_rotation_is_the_same_on_every_device():
    task = LinearRegression(dim=3, n_points=5, covariance=ConditionNumber(value=10.0, rotation="fixed"))
    with torch.device("cuda"):
        there = task.sample(4).input_map
    here = task.sample(4).input_map
    assert there is not None and here is not None
    assert_close(there.cpu(), here)


def test_the_same_seed_trains_the_same_run(tmp_path):
    recipe = tiny_recipe()
    assert weights_checksum(train(recipe, device="cuda")) == weights_checksum(train(recipe, device="cuda"))


@pytest.mark.parametrize("model", [GPT2, tiny_recipe().model], ids=["gpt2", "softmax"])
def test_compiled_training_with_graphs_reaches_the_same_weights(model):
    recipe = tiny_recipe(steps=12, warmup=0, model=model)
    plain, compiled = train(recipe, device="cuda"), train(recipe, device="cuda", compile=True)
    assert is_compiled(compiled)
    for (name, ours), theirs in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        if not name.endswith("b_K"):  # no gradient but rounding, which Adam makes as large as any
            assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_graphs_follow_prompts_that_grow():
    recipe = tiny_recipe(
        steps=12,
        warmup=0,
        model=GPT2,
        curriculum=Curriculum(dims=Ramp(start=1, every=3), points=Ramp(start=2, every=3)),
    )
    plain, compiled = train(recipe, device="cuda"), train(recipe, device="cuda", compile=True)
    assert distance(compiled, plain) < 0.05 * distance(plain.untrained_twin(0), plain)


def test_the_answers_of_a_compiled_model_outlive_the_next_call():
    recipe = tiny_recipe(steps=1, warmup=0)
    model = train(recipe, device="cuda", compile=True)
    batches = [model.tokens(recipe.task.sample(4, seed=seed)) for seed in range(5)]
    with torch.no_grad():
        answers = [model(tokens) for tokens in batches]
        for tokens, answer in zip(batches, answers, strict=True):
            assert_close(answer, model.forward(tokens), rtol=1e-4, atol=1e-5)


def test_a_run_goes_on_where_it_stopped(tmp_path):
    recipe = tiny_recipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes_module, "train", partial(train, device="cuda"))
        train_and_stop(recipe, tmp_path / "tiny-seed1", seed=1, after=12)
        train_and_stop(recipe, tmp_path / "alone", seed=1, after=12)
    whole = train(recipe, seed=1, device="cuda")
    resumed = train(recipe, tmp_path / "alone", seed=1, device="cuda", resume=True)
    (run, _) = train_ensemble(recipe, (1, 2), tmp_path, device="cuda", resume=True)
    for model in (resumed, load_folder(run.folder)):
        assert distance(model, whole) < 1e-3


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_other_precisions_stay_near(precision):
    recipe = tiny_recipe(steps=10, warmup=0)
    exact, rough = (train(recipe, device="cuda", precision=name) for name in ("fp32", precision))
    assert distance(rough, exact) < 0.05 * distance(exact.untrained_twin(0), exact)


def test_every_seed_of_an_ensemble_ends_as_alone(tmp_path):
    recipe = tiny_recipe()
    for run in train_ensemble(recipe, (0, 1), tmp_path, device="cuda"):
        alone = train(recipe, seed=run.seed, device="cuda")
        for ours, theirs in zip(load_folder(run.folder).parameters(), alone.parameters(), strict=True):
            assert_close(ours, theirs.cpu(), rtol=0, atol=1e-4)
