"""The dependency map against Jacobians by reverse mode, entry by entry, and against derivatives taken by hand."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.testing import assert_close

import interp
from interp.attribution import dependency, dependency_profile, token_dependencies, token_dependency
from interp.attribution.dependency import default_prompts
from interp.models import RegressionTransformer
from interp.tasks import Prompts, PromptStream
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

MODELS: dict[str, dict[str, Any]] = {
    "linear": {"attention": "linear"},
    "relu": {"attention": "relu", "query_in_context": True},
    "causal softmax": {"attention": "softmax", "causal": True, "layout": INTERLEAVED},
    "softmax with MLP and norms": FULL,
    "looped linear with MLP": {"looped": True, "mlp": "gelu", "mlp_width": 5},
}
models = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def state_after(model: RegressionTransformer, layer: int) -> Callable[[Tensor], Tensor]:
    """The residual stream after ``layer`` blocks as a function of one prompt's tokens [pos d_token]."""
    name = f"blocks.{layer - 1}.hook_resid_post" if layer else "blocks.0.hook_resid_pre"

    def state(tokens: Tensor) -> Tensor:
        kept: list[Tensor] = []
        model.run_with_hooks(tokens[None], fwd_hooks=[(name, lambda activation, hook: kept.append(activation))])
        return kept[0][0]

    return state


def jacobian_norms(model: RegressionTransformer, prompts: Prompts, layer: int) -> Tensor:
    """Frobenius norms of the Jacobian's blocks, one prompt and one reverse-mode pass per output at a time."""
    blocks = [jacobian(state_after(model, layer), tokens) for tokens in model.tokens(prompts)]
    return torch.stack([block.square().sum((1, 3)).sqrt() for block in blocks])  # [prompt pos pos]


@models
def test_every_entry_is_the_frobenius_norm_of_a_prompts_jacobian(options):
    model = tiny_model(**options)
    prompts = model.task.sample(3, seed=1)
    norms = token_dependencies(model, prompts)
    assert len(norms) == 1 + model.cfg.n_layers
    for layer, found in enumerate(norms):
        assert_close(found, jacobian_norms(model, prompts, layer))


@models
def test_the_map_of_a_layer_is_the_mean_of_its_prompts_norms(options):
    model = tiny_model(**options)
    prompts = model.task.sample(3, seed=1)
    for layer, norms in enumerate(token_dependencies(model, prompts)):
        assert_close(token_dependency(model, prompts, layer), norms.mean(0))


def test_norms_are_averaged_and_not_jacobians_whose_signs_cancel():
    # One GD step adds -c sum_j (x . x_j) y_j to a y entry, so d/d y_j = -c x x_j: opposite for the two queries.
    model = interp.load("gd:dim=1,points=2,lr=0.5").double()
    prompts = Prompts(xs=torch.tensor([[[2.0], [3.0]], [[2.0], [-3.0]]]), ys=torch.zeros(2, 2))
    _, opposite = (jacobian(state_after(model, 1), tokens) for tokens in model.tokens(prompts))
    assert opposite[1, :, 0].norm() == 0.5 * 2 * 3
    assert token_dependency(model, prompts, 1)[1, 0] == 0.5 * 2 * 3


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_the_number_of_directions_followed_at_once_does_not_matter(at_once, monkeypatch):
    model = tiny_model(**FULL)
    prompts = model.task.sample(2, seed=1)
    expected = token_dependencies(model, prompts)
    monkeypatch.setattr(dependency, "DIRECTIONS_AT_ONCE", at_once)
    assert_close(token_dependencies(model, prompts), expected)


@models
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_does_not_matter(options, batch_size):
    model = tiny_model(**options)
    prompts = model.task.sample(5, seed=1)
    found = token_dependencies(model, prompts, batch_size=batch_size)
    assert_close(found, token_dependencies(model, prompts))
    assert_close(token_dependency(model, prompts, 1, batch_size=batch_size), found[1].mean(0))


def test_random_directions_do_not_depend_on_the_batch():
    model = tiny_model(**FULL)
    prompts = model.task.sample(3, seed=1)
    whole, parts = (token_dependencies(model, prompts, n_directions=2, seed=4, batch_size=size) for size in (3, 1))
    assert_close(whole, parts)


def test_a_mean_over_many_prompts_never_runs_more_of_them_than_a_batch_at_a_time():
    model = tiny_model()
    ran = []
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", lambda x, hook: ran.append(len(x)))]):
        token_dependency(model, PromptStream(model.task, 10, seed=1), 2, batch_size=4)
    assert set(ran) == {4, 2}
    assert ran.index(2) == len(ran) * 2 // 3  # all directions of one batch, then those of the next


def test_a_stream_of_prompts_has_the_map_of_the_same_prompts_in_memory():
    model = tiny_model(**FULL)
    expected = token_dependency(model, model.task.sample(5, seed=3), 2)
    assert_close(token_dependency(model, PromptStream(model.task, 5, seed=3), 2, batch_size=2), expected)


def test_the_default_batch_shrinks_as_the_model_and_its_prompts_grow_and_is_never_empty():
    def at_once(n_pos=6, n_layers=2, n_directions=24, **options):
        model = tiny_model(**FULL, **options)
        return default_prompts(model, torch.zeros(1, n_pos, model.cfg.d_token), n_layers, n_directions)

    # 24 directions of 6 positions: 12 numbers for each of 2 kept and 16 working vectors, 4 patterns of 2 heads
    assert at_once() == 2**26 // (24 * (6 * 12 * (2 + 16) + 4 * 2 * 6**2))
    assert at_once(n_pos=12) < at_once(n_pos=6) / 2
    assert at_once(n_layers=20) < at_once()
    assert at_once(n_directions=1000) == at_once(n_directions=64)
    assert at_once(n_pos=100_000) == 1


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_of_no_prompts_is_refused(size):
    model = tiny_model()
    message = f"`batch_size` must be at least 1 prompt, got {size}; leave it out for the default."
    with raises_exactly(ValueError, message):
        token_dependency(model, model.task.sample(2), 1, batch_size=size)
    with raises_exactly(ValueError, message):
        token_dependencies(model, model.task.sample(2), batch_size=size)


def test_layers_come_in_the_order_asked_for():
    model = tiny_model()
    prompts = model.task.sample(2)
    every = token_dependencies(model, prompts)
    assert torch.equal(token_dependencies(model, prompts, layers=[2, 0]), every[[2, 0]])


@models
def test_before_the_first_layer_a_position_depends_on_its_own_token_alone(options):
    model = tiny_model(**options)
    embedding = token_dependency(model, model.task.sample(3), 0)
    expected = model.W_E.norm().item() if model.cfg.read_in == "linear" else sqrt(model.cfg.d_token)
    assert_close(embedding, expected * torch.eye(len(embedding), dtype=torch.float64))


def test_under_a_causal_mask_no_position_depends_on_a_later_token_and_each_on_all_before():
    model = tiny_model(**MODELS["causal softmax"])
    norms = token_dependencies(model, model.task.sample(3))
    assert not norms.triu(1).any()
    assert (norms[-1].diagonal(dim1=1, dim2=2) > 0).all()
    assert (norms[-1].mean(0) > 0)[torch.ones_like(norms[-1, 0], dtype=torch.bool).tril()].all()


@pytest.mark.parametrize("n_queries", [1, 3])
def test_a_query_outside_the_context_moves_no_other_position(n_queries):
    model = tiny_model()
    prompts = model.task.sample(3, n_queries=n_queries)
    last = token_dependency(model, prompts, 2)
    of_queries = last[:, -n_queries:]
    assert torch.equal(of_queries != 0, torch.eye(len(last), dtype=torch.bool)[:, -n_queries:])
    assert (last[:, :-n_queries] > 0).all()


def test_a_query_inside_the_context_moves_every_position():
    model = tiny_model(query_in_context=True)
    assert (token_dependency(model, model.task.sample(3), 2)[:, -1] > 0).all()


def test_the_map_of_one_gd_step_is_the_derivative_taken_by_hand():
    # Examples (1, 3) and (2, -1), query 2, eta/n = 1/4: each token's y entry changes by -(1/4) x sum_j x_j y_j, where
    # sum_j x_j y_j = 1. The stream at position i is (x_i, y_i - x_i / 4), the query's (2, -1/2).
    model = interp.load("gd:dim=1,points=3,lr=0.5").double()
    prompts = Prompts(xs=torch.tensor([[[1.0], [2.0], [2.0]]]), ys=torch.tensor([[3.0, -1.0, 0.0]]))
    rows = [
        # own token: 1 (x on x), -(1 + x y) / 4 (y on x), 1 - x^2 / 4 (y on y); other token j: -x y_j / 4, -x x_j / 4
        [sqrt(1 + 1**2 + 0.75**2), sqrt(0.25**2 + 0.5**2), 0],
        [sqrt(1.5**2 + 0.5**2), sqrt(1 + 0.25**2 + 0), 0],
        # the query's y entry moves with y_j and x_j of either example, and with its own token as if there were no other
        [sqrt(1.5**2 + 0.5**2), sqrt(0.5**2 + 1**2), sqrt(1 + 0.25**2 + 1)],
    ]
    assert_close(token_dependency(model, prompts, 1), torch.tensor(rows, dtype=torch.float64))


def test_norms_of_a_single_precision_model_come_in_double_and_agree_with_its_double():
    model = tiny_model(**FULL)
    prompts = model.task.sample(3)
    expected = token_dependencies(model, prompts)
    found = token_dependencies(model.float(), prompts)
    assert found.dtype == torch.float64
    assert_close(found, expected, rtol=1e-4, atol=1e-5)  # some hundred roundings of single precision


def test_the_model_is_left_without_hooks_and_gradients():
    model = tiny_model(**FULL)
    token_dependency(model, model.task.sample(2), 1)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_the_model_lacks_is_refused(layer):
    model = tiny_model()
    with raises_exactly(ValueError, f"`layer` must lie in 0..2 (0 is the embedding), got {layer}."):
        token_dependency(model, model.task.sample(2), layer)


def test_the_profile_averages_along_diagonals():
    profile = dependency_profile(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]))
    rows = [tuple(row) for row in profile[["offset", "dependency", "n_pairs"]].itertuples(index=False)]
    assert rows == [(-2, 3.0, 1), (-1, 4.0, 2), (0, 5.0, 3), (1, 6.0, 2), (2, 7.0, 1)]


def test_the_profile_of_a_causal_model_is_zero_at_negative_offsets():
    model = tiny_model(**MODELS["causal softmax"])
    profile = dependency_profile(token_dependency(model, model.task.sample(3), 2)).set_index("offset")["dependency"]
    assert (profile[profile.index < 0] == 0).all()
    assert (profile[profile.index >= 0] > 0).all()
