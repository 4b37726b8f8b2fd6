"""The recipe lsa-1layer ends at one gradient step, whatever the seed."""

import pytest
import torch

from interp.matching import align, effective_steps
from interp.solvers import tune
from interp.training import get_recipe, train


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10))
def test_every_seed_converges_to_the_best_gradient_step(seed):
    model = train(get_recipe("lsa-1layer"), seed=seed)
    prompts = model.task.sample(4096, seed=12345, n_queries=16)
    best = tune("gd", prompts, steps=1)
    with torch.no_grad():
        errors = model(model.tokens(prompts), n_queries=16) - prompts.ys[:, -16:]
    loss = 0.5 * errors.square().mean().item()
    assert loss < 1.005 * best.loss
    assert align(model, best.solver, prompts, steps=1).cosine.low > 0.998
    (step,) = effective_steps(model)
    assert abs(step.eta_over_n - 0.61) < 0.01
