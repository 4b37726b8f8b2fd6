"""Compiled models answer as they do uncompiled, and never pass a hook over."""

from copy import deepcopy

import pytest
import torch
from torch.testing import assert_close

from interp.models.build import build_model
from interp.models.compiled import compile_model, is_compiled
from interp.training import train
from tests.errors import raises_exactly
from tests.training.recipes import GPT2, tiny_recipe

pytestmark = pytest.mark.usefixtures("unchecked")  # torch.compile does not trace the checks of types


@pytest.fixture(scope="module")
def pair():
    """A model, and the same one compiled, with prompts laid out for both."""
    recipe = tiny_recipe(model=GPT2)
    plain, compiled = (build_model(recipe.model, recipe.task, seed=0) for _ in range(2))
    compile_model(compiled)
    return plain, compiled, plain.tokens(plain.task.sample(4, seed=0))


@pytest.fixture
def counted(pair, monkeypatch):
    """The compiled model, and a list to which every eager call adds."""
    _, compiled, _ = pair
    calls: list[int] = []
    forward = type(compiled).forward

    def counting(self, *args, **kwargs):
        if not torch.compiler.is_compiling():
            calls.append(1)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(compiled), "forward", counting)
    return calls


def test_answers_and_gradients_are_those_of_the_plain_model(pair):
    plain, compiled, tokens = pair
    assert is_compiled(compiled)
    assert not is_compiled(plain)
    answers = [model(tokens) for model in (plain, compiled)]
    assert_close(*answers, rtol=1e-5, atol=1e-5)
    gradients = [
        torch.autograd.grad(answer.square().sum(), list(model.parameters()))
        for answer, model in zip(answers, (plain, compiled), strict=True)
    ]
    assert_close(*gradients, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["hook_embed", "blocks.0.attn.hook_pattern", "blocks.1.hook_resid_post", "ln_final.hook_normalized"]
)
def test_a_hook_added_after_compiling_is_called_and_changes_the_answer(pair, name):
    plain, compiled, tokens = pair
    before = compiled(tokens)

    def shuffled(activation, hook):
        return activation.flip(-1)

    hooked = [model.run_with_hooks(tokens, fwd_hooks=[(name, shuffled)]) for model in (plain, compiled)]
    assert_close(*hooked, rtol=1e-5, atol=1e-5)
    assert (hooked[1] - before).abs().max() > 1e-4
    assert_close(compiled(tokens), before)  # and compiled again once the hook is gone


def test_torch_hooks_are_called_too(pair):
    _, compiled, tokens = pair
    seen = []
    handle = compiled.blocks[0].mlp.register_forward_hook(lambda module, args, out: seen.append(out.shape))
    compiled(tokens)
    handle.remove()
    compiled(tokens)
    assert seen == [(*tokens.shape[:2], 8)]


def test_a_hook_on_gradients_is_called(pair):
    _, compiled, tokens = pair
    seen = []
    point = compiled.blocks[1].hook_resid_post
    point.add_hook(lambda gradient, hook: seen.append(gradient), dir="bwd")
    compiled(tokens).sum().backward()
    point.remove_hooks("bwd")
    compiled.zero_grad()
    assert len(seen) == 1


def test_captured_activations_are_those_of_the_plain_model(pair):
    plain, compiled, tokens = pair
    caches = [model.run_with_cache(tokens, names_filter="blocks.1.hook_resid_post")[1] for model in (plain, compiled)]
    assert_close(*(cache["resid_post", 1] for cache in caches), rtol=1e-5, atol=1e-5)


def test_the_ordinary_code_runs_only_while_somebody_listens(pair, counted):
    _, compiled, tokens = pair
    compiled(tokens)
    assert not counted
    compiled.run_with_cache(tokens)
    assert len(counted) == 1
    compiled(tokens)
    assert len(counted) == 1


def test_a_copy_is_not_compiled_and_has_weights_of_its_own(pair):
    _, compiled, tokens = pair
    copy = deepcopy(compiled)
    assert not is_compiled(copy)
    with torch.no_grad():
        copy.W_U.zero_()
        copy.b_U.zero_()
    assert torch.equal(copy(tokens), torch.zeros_like(copy(tokens)))


def test_training_through_the_compiler_reaches_the_same_weights():
    recipe = tiny_recipe(steps=8, warmup=0)
    plain, compiled = train(recipe), train(recipe, compile=True)
    assert is_compiled(compiled)
    for ours, theirs in zip(compiled.parameters(), plain.parameters(), strict=True):
        assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_language_models_are_refused():
    with raises_exactly(
        ValueError,
        "Only models of in-context regression are compiled, this is a Linear; leave compile out.",
    ):
        compile_model(torch.nn.Linear(2, 2))
