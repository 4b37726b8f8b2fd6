import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf
from torch.testing import assert_close

from interp.models.blocks import MLP, LayerNorm, gelu_new
from interp.models.config import TransformerConfig
from interp.tasks import TokenLayout
from tests.models.tiny import FULL, tiny_model

X = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 2


@pytest.fixture
def norm():
    layer = LayerNorm(6).double()
    layer.w.data, layer.b.data = torch.linspace(-1, 2, 6).double(), torch.linspace(3, -1, 6).double()
    return layer


@pytest.mark.parametrize("hooked", [None, "hook_scale", "hook_normalized"])
def test_layer_norm_is_pytorchs_whether_or_not_anyone_looks(norm, hooked):
    if hooked:
        getattr(norm, hooked).register_forward_hook(lambda module, args, out: None)
    assert_close(norm(X), torch.nn.functional.layer_norm(X, (6,), norm.w, norm.b, 1e-5))


def test_the_scale_hook_shows_the_standard_deviation_and_changes_it(norm):
    seen = []

    def double(module, args, out):
        seen.append(out)
        return out * 2

    norm.hook_scale.register_forward_hook(double)
    doubled = norm(X)
    assert_close(seen[0], (X.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt())
    assert_close(doubled - norm.b, (torch.nn.functional.layer_norm(X, (6,), norm.w, norm.b, 1e-5) - norm.b) / 2)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))),
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_mlp_is_two_affine_maps_and_its_activation(name):
    mlp = MLP(TransformerConfig(dim=5, mlp=name, mlp_width=4)).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in mlp.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    pre = X @ mlp.W_in + mlp.b_in
    post = pre.detach().clone().apply_(ACTIVATIONS[name])
    assert_close(mlp(X), post @ mlp.W_out + mlp.b_out)


def test_each_block_adds_attention_then_mlp_to_the_stream():
    model = tiny_model(**FULL)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(3)))
    for layer in (0, 1):
        assert_close(cache["resid_mid", layer], cache["resid_pre", layer] + cache["attn_out", layer])
        assert_close(cache["resid_post", layer], cache["resid_mid", layer] + cache["mlp_out", layer])
    assert_close(cache["resid_pre", 1], cache["resid_post", 0])


BLOCKS = {
    "attention": {},
    "mlp": {"mlp": "gelu", "bias": True},
    "normed": {"mlp": "relu", "layer_norm": True, "attention": "softmax"},
    "looped": {"n_layers": 3, "looped": True, "mlp": "relu"},
}
every_block = pytest.mark.parametrize("options", BLOCKS.values(), ids=BLOCKS.keys())


def stream_of(model):
    """Predictions, and everything that stood in the stream, by the name of its hook."""
    tokens = model.tokens(model.task.sample(5, seed=3))
    predictions, cache = model.run_with_cache(tokens, return_cache_object=False)
    return predictions, {name: values for name, values in cache.items() if "hook_resid" in name}


@every_block
@given(clamp=st.floats(0.01, 2.0), damping=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_each_update_of_the_stream_is_damped_added_and_clamped(options, clamp, damping, seed):
    model = tiny_model(seed=seed, clamp=clamp, damping=damping, **options)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(5, seed=3)))
    for layer in range(model.cfg.n_layers):
        before, middle, after = cache["resid_pre", layer], cache["resid_mid", layer], cache["resid_post", layer]
        assert_close(middle, (before + damping * cache["attn_out", layer]).clip(-clamp, clamp))
        added = damping * cache["mlp_out", layer] if model.cfg.mlp != "none" else 0
        assert_close(after, (middle + added).clip(-clamp, clamp))
        for part in (middle, after):
            assert part.abs().max() <= clamp


@every_block
@pytest.mark.parametrize("damping", [1.0, 0.6])
def test_a_clamp_that_no_activation_exceeds_changes_nothing_bit_for_bit(options, damping):
    free = tiny_model(damping=damping, **options)
    predictions, stream = stream_of(free)
    bound = max(values.abs().max().item() for values in stream.values())
    clamped = tiny_model(damping=damping, clamp=bound, **options)
    same_predictions, same_stream = stream_of(clamped)
    assert torch.equal(same_predictions, predictions)
    assert all(torch.equal(same_stream[name], values) for name, values in stream.items())
    tokens = free.tokens(free.task.sample(5, seed=3))
    assert torch.equal(clamped(tokens), free(tokens))
    gradients = [torch.autograd.grad(model(tokens).sum(), list(model.parameters())) for model in (clamped, free)]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*gradients, strict=True))


def test_no_gradient_passes_where_the_stream_is_clamped_and_all_of_it_elsewhere():
    """In one layer of attention the query's y entry meets one clamp, which therefore decides for each prompt."""
    free = tiny_model(n_layers=1, n_points=9)
    tokens = free.tokens(free.task.sample(40))
    size = free(tokens)[:, 0].abs()
    bound = size.median().item()
    clamped = tiny_model(n_layers=1, n_points=9, clamp=bound)
    gradients = []
    for model in (clamped, free):
        inputs = tokens.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(inputs).sum(), inputs)
        gradients.append(gradient.flatten(1))
    held = size > bound
    assert 0 < held.sum() < 40
    assert not gradients[0][held].any()
    assert torch.equal(gradients[0][~held], gradients[1][~held])
    assert gradients[1].any(dim=1).all()


@every_block
@given(clamp=st.none() | st.floats(0.02, 1.0), damping=st.floats(0.05, 1.0), n_queries=st.integers(1, 3))
def test_the_route_over_the_queries_alone_is_clamped_and_damped_as_the_whole_one(options, clamp, damping, n_queries):
    model = tiny_model(clamp=clamp, damping=damping, **options)
    tokens = model.tokens(model.task.sample(4, n_queries=n_queries))
    hooked, _ = model.run_with_cache(tokens, n_queries=n_queries)
    assert_close(model(tokens, n_queries=n_queries), hooked)


@pytest.mark.parametrize("options", [{}, {"mlp": "gelu"}], ids=["attention", "mlp"])
def test_the_hooks_show_what_attention_and_mlp_put_out_before_damping(options):
    model = tiny_model(damping=0.3, n_layers=1, **options)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(3)))
    (block,) = model.blocks
    assert_close(cache["attn_out", 0], block.attn(cache["resid_pre", 0], 1))
    if block.mlp is not None:
        assert_close(cache["mlp_out", 0], block.mlp(cache["resid_mid", 0]))


@given(damping=st.floats(0.05, 1.0))
def test_one_damped_layer_of_attention_predicts_that_share_of_what_it_would(damping):
    damped, whole = (tiny_model(n_layers=1, attention="softmax", damping=share) for share in (damping, 1.0))
    tokens = whole.tokens(whole.task.sample(5))
    assert_close(damped(tokens), damping * whole(tokens))


def explicit_features(model, xs):
    """gelu(x W_in + b_in) W_out + b_out, in numpy."""
    W_in, b_in, W_out, b_out = (
        getattr(model.read_in, name).detach().numpy() for name in ("W_in", "b_in", "W_out", "b_out")
    )
    pre = xs @ W_in + b_in
    post = pre * 0.5 * (1 + erf(pre / np.sqrt(2)))
    return pre, post, post @ W_out + b_out


@pytest.mark.parametrize("y_position", ["first", "last"])
@pytest.mark.parametrize("read_in_width", [0, 9])
def test_features_of_x_stand_beside_y_plus_their_product_with_the_start(y_position, read_in_width):
    layout = TokenLayout(y_position=y_position)
    model = tiny_model(read_in="mlp", width=7, read_in_width=read_in_width, layout=layout)
    prompts = model.task.sample(5, n_queries=2)
    _, cache = model.run_with_cache(model.tokens(prompts), n_queries=2)
    xs, ys = prompts.xs.double().numpy(), prompts.ys.double().numpy().copy()
    ys[:, -2:] = 0  # no query's y is ever shown
    pre, post, features = explicit_features(model, xs)
    assert pre.shape[-1] == (read_in_width or 7)
    for name, expected in (("pre", pre), ("post", post), ("features", features)):
        assert_close(cache[f"read_in.hook_{name}"].numpy(), expected)
    embedded = cache["hook_embed"].numpy()
    if y_position == "last":
        embedded = np.roll(embedded, 1, axis=-1)
    assert_close(embedded[..., 1:], features)
    assert_close(embedded[..., 0], ys + features @ model.read_in.W_start.detach().numpy()[:, 0])


def test_a_change_of_a_feature_changes_the_y_entry_with_it():
    model = tiny_model(read_in="mlp", width=5)
    tokens = model.tokens(model.task.sample(3))
    _, cache = model.run_with_cache(tokens)

    def bump(features, hook):
        return features + torch.eye(4, dtype=torch.float64)[2]

    with model.hooks(fwd_hooks=[("read_in.hook_features", bump)]):
        _, bumped = model.run_with_cache(tokens)
    change = bumped["hook_embed"] - cache["hook_embed"]
    expected = torch.tensor([0.0, 0.0, 1.0, 0.0, model.read_in.W_start[2, 0].item()], dtype=torch.float64)
    assert_close(change, expected.expand_as(change))


@pytest.mark.parametrize("compiling", [False, True])
def test_gelu_new_is_the_tanh_approximation_whoever_makes_the_kernel(monkeypatch, compiling):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    x = torch.linspace(-40, 40, 2001, dtype=torch.float64, requires_grad=True)
    expected = x / 2 * (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))
    (slope,) = torch.autograd.grad(gelu_new(x).sum(), x, retain_graph=True)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    assert_close(gelu_new(x), expected, rtol=0, atol=1e-13)
    assert_close(slope, expected_slope, rtol=0, atol=1e-12)
