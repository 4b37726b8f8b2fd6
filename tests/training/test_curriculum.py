"""The easier prompts are those of an easier task, in the shape of the task's own."""

from dataclasses import replace

import pytest
import torch

from interp._records import from_record, to_record
from interp.models.build import build_model
from interp.solvers import make_solver
from interp.tasks import ConditionNumber, DecisionTrees, Eigenvalues, LinearRegression, SineWaves
from interp.training import Recipe, get_recipe, train
from interp.training.curriculum import Curriculum, Ramp
from interp.training.data import training_prompts
from interp.training.metrics import read_metrics
from tests.errors import raises_exactly
from tests.training.recipes import tiny_recipe, transformer_of

TASK = LinearRegression(dim=6, n_points=9, inputs="gaussian")
CURRICULUM = Curriculum(dims=Ramp(start=2, step=1, every=10), points=Ramp(start=3, step=2, every=5))


def test_a_ramp_rises_by_its_step_and_stops_at_the_end():
    ramp = Ramp(start=5, step=2, every=100)
    assert [ramp.at(update, 10) for update in (0, 99, 100, 250, 10_000)] == [5, 5, 7, 9, 10]


def test_coordinates_beyond_are_0_and_the_others_determine_the_targets():
    prompts = CURRICULUM.sample(TASK, 50, seed=1, update=12)  # 3 dims, 7 points
    assert prompts.xs.shape == (50, 7, 6)
    assert not prompts.xs[..., 3:].any()
    assert (prompts.xs[..., :3] != 0).all()
    answers = make_solver("ols").run(prompts.xs, prompts.ys, [1]).predictions[0]
    torch.testing.assert_close(answers[:, 3:], prompts.ys[:, 3:].double(), rtol=1e-3, atol=1e-3)
    assert ((answers - prompts.ys)[:, :3].abs() > 1e-3).float().mean() > 0.9


def test_at_its_end_it_is_the_task():
    prompts, own = CURRICULUM.sample(TASK, 5, seed=1, update=1000), TASK.sample(5, seed=1)
    assert torch.equal(prompts.xs, own.xs)
    assert torch.equal(prompts.ys, own.ys)


def test_other_functions_than_linear_ones_have_it_too():
    trees = DecisionTrees(dim=6, n_points=9, depth=2)
    prompts = CURRICULUM.sample(trees, 5, seed=1, update=0)
    assert prompts.xs.shape == (5, 3, 6)
    assert torch.equal(prompts.ys, replace(trees, dim=2, n_points=3).sample(5, seed=1).ys)


def with_curriculum(**options) -> Recipe:
    base = get_recipe("garg-tiny")
    model = replace(transformer_of(base), dim=6, n_layers=1, width=8, n_heads=2, n_ctx=18)
    return replace(base, model=model, task=TASK, warmup=0, batch_size=4, curriculum=CURRICULUM, **options)


def test_training_draws_the_prompts_of_each_update():
    recipe = with_curriculum()
    lengths = [training_prompts(recipe, 0, update).n_points for update in (0, 5, 10, 15, 100)]
    assert lengths == [3, 5, 7, 9, 9]
    assert torch.equal(training_prompts(recipe, 0, 5).xs, training_prompts(recipe, 0, 5).xs)


def test_a_run_through_the_curriculum_trains_and_is_read_back(tmp_path):
    recipe = with_curriculum(steps=20)
    before = train(replace(recipe, steps=1), seed=0)
    after = train(recipe, tmp_path / "run", seed=0)
    assert from_record(Recipe, to_record(recipe), "here") == recipe
    change = [(a - b).abs().max().item() for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    assert max(change) > 0


def test_where_only_the_query_is_predicted_the_loss_is_the_querys(tmp_path):
    recipe = replace(tiny_recipe(), curriculum=Curriculum(dims=Ramp(start=1), points=Ramp(start=2)))
    train(recipe, tmp_path / "run", seed=0)
    model = build_model(recipe.model, recipe.task, seed=0)
    prompts = training_prompts(recipe, 0, 0)
    assert prompts.n_points == 2
    with torch.no_grad():
        errors = model(model.tokens(prompts))[:, 0] - prompts.ys[:, -1]
    assert read_metrics(tmp_path / "run")[0]["loss"] == pytest.approx(0.5 * errors.square().mean().item())


@pytest.mark.parametrize("field", ["start", "step", "every"])
def test_a_ramp_counts_from_1(field):
    with raises_exactly(ValueError, f"`{field}` of a curriculum must be at least 1, got 0."):
        Ramp(**{"start": 1, field: 0})


def test_a_curriculum_beyond_its_task_is_refused():
    with raises_exactly(ValueError, "Recipe 'garg-tiny': the curriculum starts at dim=7, beyond the task's 6."):
        replace(with_curriculum(), curriculum=replace(CURRICULUM, dims=Ramp(start=7)))


def test_given_eigenvalues_fit_no_fewer_coordinates():
    task = replace(TASK, covariance=Eigenvalues(values=(1.0,) * 6))
    with raises_exactly(
        ValueError,
        "Recipe 'garg-tiny': the curriculum starts at dim=2, and the covariance has eigenvalues for dim=6 alone; give "
        "a condition number, or start at 6.",
    ):
        replace(with_curriculum(), task=task)
    whole = replace(with_curriculum(), task=task, curriculum=replace(CURRICULUM, dims=Ramp(start=6)))
    assert training_prompts(whole, 0, 0).n_points == 3
    ill = replace(with_curriculum(), task=replace(TASK, covariance=ConditionNumber(value=100.0)))
    assert training_prompts(ill, 0, 0).n_points == 3


def test_sine_waves_have_none():
    with raises_exactly(
        ValueError, "Recipe 'sine-mlp': sine waves have one dim, and a curriculum starts with few of many."
    ):
        replace(get_recipe("sine-mlp"), task=SineWaves(), curriculum=CURRICULUM)


def test_the_published_curriculum_starts_at_5_of_20_dims_and_11_of_41_points():
    curriculum = get_recipe("garg-standard").curriculum
    assert curriculum is not None
    assert (curriculum.dims.at(0, 20), curriculum.points.at(0, 41)) == (5, 11)
    assert (curriculum.dims.at(30_000, 20), curriculum.points.at(30_000, 41)) == (20, 41)
    assert (curriculum.dims.at(2000, 20), curriculum.points.at(2000, 41)) == (6, 13)
