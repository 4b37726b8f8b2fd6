import pytest
import torch
from torch.testing import assert_close

import interp
from interp.matching import effective_steps
from interp.matching.descents import best_descents, read_off, steps_of, written_out
from interp.matching.readouts import ask_many_queries, model_answers, problems_of
from interp.solvers import make_solver, tune
from tests.errors import raises_exactly


def test_one_step_is_tuned_for_one_layer_and_gd_plus_only_beyond():
    one, two = interp.load("gd:steps=1,dim=2"), interp.load("gd:steps=2,dim=2")
    assert list(best_descents(one, one.task.sample(16))) == ["gd"]
    found = best_descents(two, two.task.sample(16))
    assert {name: tuned.steps for name, tuned in found.items()} == {"gd": 2, "gd++": 2}


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("name", ["gd", "gd++"])
def test_tuned_steps_written_as_weights_reach_the_tuned_loss(name, steps):
    model = interp.load(f"gd:steps={steps},dim=3")
    prompts = ask_many_queries(model, model.task.sample(32), 4, seed=0)
    tuned = tune(name, prompts, steps)
    twin = written_out(tuned, model, prompts).beside(model)
    errors = model_answers(twin, prompts) - problems_of(twin, prompts).targets
    assert 0.5 * errors.square().mean().item() == pytest.approx(tuned.loss, rel=1e-5)


def test_steps_count_for_prompts_of_another_length_as_for_the_tasks_own():
    model = interp.load("gd:steps=2,dim=2,points=5")  # 4 examples
    mean, total = make_solver("gd", lr=1.0), make_solver("gd", lr=0.25, normalize="sum")
    assert steps_of(mean, model) == steps_of(total, model) == ([0.25, 0.25], [0.0, 0.0])
    assert steps_of(mean, model, n_examples=8) == ([0.125, 0.125], [0.0, 0.0])


def test_each_step_may_have_its_own_size():
    model = interp.load("gd:steps=2,dim=2,points=5")
    assert steps_of(make_solver("gd", lr=(1.0, 2.0)), model) == ([0.25, 0.5], [0.0, 0.0])
    assert steps_of(make_solver("gd++", lr=(1.0, 2.0), gamma=0.5), model) == ([1.0, 2.0], [0.5, 0.5])


def test_other_algorithms_are_not_written_as_weights():
    with raises_exactly(TypeError, "Only GD and GD++ are written as weights, not Newton."):
        steps_of(make_solver("newton"), interp.load("gd"))


@pytest.mark.parametrize("name", ["gd:steps=1", "gd:steps=3", "gd++:steps=2"])
def test_the_steps_read_off_a_construction_are_the_construction(name):
    model = interp.load(name)
    own = read_off(model)
    assert own.eta_over_n == tuple(step.eta_over_n for step in effective_steps(model))
    tokens = model.tokens(model.task.sample(8))
    with torch.no_grad():
        assert_close(own.beside(model)(tokens), model(tokens))
