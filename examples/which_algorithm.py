"""
Which algorithm does a trained layer run?
=========================================

One layer of linear attention was trained on in-context linear regression. Does it run a step of gradient descent?
"""

# %%
# Load the model that ships with the package, and draw prompts it has never seen.
import interp
from interp.matching import align, effective_steps, judge_layers, match_layers
from interp.solvers import tune

model = interp.load("lsa-1layer")
prompts = model.task.sample(256, seed=1, n_queries=32)

# %%
# Hold each layer against the iterates of four families. Hyperparameters and best steps are chosen on one half of the
# prompts; the numbers come from the other.
table = match_layers(model, prompts, solvers=["gd", "gd++", "newton", "ridge"])
print(
    table[table["best"] & (table["layer"] == 1)][["solver", "step", "similarity", "ci_low", "skill", "hyperparameters"]]
)

# %%
# The rule of evidence: above 0.9, above the untrained twins, above shuffled targets and above the predictors that know
# nothing.
(verdict,) = judge_layers(table)
print(f"layer {verdict.layer}: {verdict.solver}, step {verdict.step}, {verdict.verdict} ({verdict.reason})")
assert (verdict.solver, verdict.step, verdict.verdict) == ("gd", 1, "supported")

# %%
# How close is it to the *best* step, tuned for the lowest loss rather than to the model?
best = tune("gd", prompts, steps=1)
alignment = align(model, best.solver, prompts, steps=1)
print(f"best step: {best.solver.describe()}, loss {best.loss:.4f}")
print(f"cosine of sensitivities {alignment.cosine.estimate:.5f}, L2 distance {alignment.l2.estimate:.4f}")
assert alignment.cosine.estimate > 0.998

# %%
# And the step size as it stands in the weights, from W_Q W_K^T and W_V W_O. The best step in expectation is 0.606.
(step,) = effective_steps(model)
print(f"eta/n in the weights: {step.eta_over_n:.3f}; {step.off_structure:.1%} of the update is not GD's")
assert abs(step.eta_over_n - 0.61) < 0.01
