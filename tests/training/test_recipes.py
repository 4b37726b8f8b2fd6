"""The shipped recipe, shortened, already finds what the published one-layer model found."""

import pytest
import torch

from interp.matching import align, effective_steps
from interp.solvers import tune


@pytest.fixture(scope="module")
def prompts(short_run):
    return short_run.task.sample(20_000, seed=99)


@pytest.fixture(scope="module")
def best_step(prompts):
    return tune("gd", prompts)


def test_one_linear_layer_is_within_half_a_percent_of_the_best_gradient_step(short_run, prompts, best_step):
    with torch.no_grad():
        predictions = short_run(short_run.tokens(prompts))[:, 0]
    loss = 0.5 * (predictions - prompts.ys[:, -1]).square().mean().item()
    assert loss < 5 / 12
    assert loss == pytest.approx(best_step.loss, rel=0.005)


def test_its_answers_depend_on_the_query_as_those_of_a_gradient_step_do(short_run, prompts, best_step):
    alignment = align(short_run, best_step.solver, prompts[:1000], steps=1)
    assert alignment.cosine.low > 0.998


def test_its_weights_hold_the_published_step_size(short_run):
    (layer,) = effective_steps(short_run)
    assert layer.eta_over_n == pytest.approx(0.61, abs=0.01)
    assert layer.off_structure < 0.06  # what so short a run has not yet unlearnt
