"""Hook points that are not called while nobody looks, and are like any other when somebody does."""

import pytest
import torch
from transformer_lens.hook_points import HookPoint

from interp.models.hooks import QuietHookPoint, is_hooked
from tests.models.tiny import FULL, INTERLEAVED, tiny_model


@pytest.fixture
def calls(monkeypatch):
    """Calls that reach TransformerLens's hook point."""
    reached = []

    def forward(self, x):
        reached.append(self)
        return x

    monkeypatch.setattr(HookPoint, "forward", forward)
    return reached


def test_nobody_looks_and_the_hook_point_is_not_called(calls):
    x = torch.ones(2)
    assert QuietHookPoint()(x) is x
    assert calls == []


@pytest.mark.parametrize(
    "look",
    [
        lambda point, seen: point.add_hook(lambda x, hook: seen.append(x)),
        lambda point, seen: point.add_perma_hook(lambda x, hook: seen.append(x)),
        lambda point, seen: point.register_forward_hook(lambda module, args, out: seen.append(out)),
        lambda point, seen: point.register_forward_pre_hook(lambda module, args: seen.append(args[0])),
        lambda point, seen: point.register_full_backward_hook(lambda module, given, got: seen.append(got[0])),
        lambda point, seen: point.register_full_backward_pre_hook(lambda module, got: seen.append(got[0])),
        lambda point, seen: point.add_hook(lambda x, hook: seen.append(x), dir="bwd"),
    ],
    ids=["hook", "permanent", "torch forward", "torch pre", "torch backward", "torch backward pre", "backward"],
)
def test_whoever_looks_sees_the_activation_or_its_gradient(look, calls):
    point = QuietHookPoint()
    seen: list[torch.Tensor] = []
    look(point, seen)
    assert is_hooked(point)
    x = torch.ones(2, requires_grad=True)
    (3 * point(2 * x)).sum().backward()
    assert [tuple(value.tolist()) for value in seen] in ([(2.0, 2.0)], [(3.0, 3.0)])
    assert calls == [point]


def test_what_a_hook_returns_takes_the_activations_place_until_it_is_removed():
    point = QuietHookPoint()
    point.add_hook(lambda x, hook: x + 1)
    assert point(torch.zeros(1)).item() == 1
    point.remove_hooks()
    assert not is_hooked(point)
    assert point(torch.zeros(1)).item() == 0


def test_a_hook_on_any_point_of_a_model_is_called():
    model = tiny_model(**FULL, causal=True, layout=INTERLEAVED)
    tokens = model.tokens(model.task.sample(2))
    for name in model.hook_dict:
        seen: list[str] = []
        model.run_with_hooks(tokens, fwd_hooks=[(name, lambda x, hook, seen=seen: seen.append(hook.name))])
        assert seen == [name]


def test_a_hook_that_writes_into_the_stream_leaves_the_callers_tokens_alone():
    model = tiny_model()
    tokens = model.tokens(model.task.sample(2))
    kept = tokens.clone()

    def silence(x, hook):
        x[:] = 0

    for name in ("hook_embed", "blocks.0.hook_resid_pre"):
        with torch.no_grad():
            model.run_with_hooks(tokens, fwd_hooks=[(name, silence)])
        assert torch.equal(tokens, kept)


def test_of_several_modules_any_part_counts():
    model = tiny_model(**FULL)
    first, second = model.blocks
    assert not is_hooked(first, second)
    handle = second.hook_mlp_out.register_forward_hook(lambda *args: None)
    assert is_hooked(first, second)
    assert not is_hooked(first)
    handle.remove()
    assert not is_hooked(first, second)
