from interp.report.effort import BUDGET, affordable_prompts, forward_cost
from tests.models.tiny import tiny_model


def test_the_cost_of_a_pass_grows_linearly_with_depth_and_faster_with_width():
    model = tiny_model(read_in="linear", readout="linear", width=64)
    deeper = tiny_model(read_in="linear", readout="linear", width=64, n_layers=6)
    wider = tiny_model(read_in="linear", readout="linear", width=128)
    prompts = model.task.sample(1)
    base = forward_cost(model, prompts)
    assert forward_cost(deeper, prompts) == 3 * base
    assert 3.5 * base < forward_cost(wider, prompts) < 4 * base


def test_the_budget_pays_for_as_many_prompts_as_it_says_within_the_bounds():
    model = tiny_model()
    prompts = model.task.sample(1)
    passes = BUDGET / (100.5 * forward_cost(model, prompts))
    assert affordable_prompts(model, prompts, passes, least=1, most=1000) == 100
    assert affordable_prompts(model, prompts, passes, least=1, most=7) == 7
    assert affordable_prompts(model, prompts, passes, least=200, most=1000) == 200
