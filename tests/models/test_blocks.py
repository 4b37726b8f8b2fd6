import math

import pytest
import torch
from torch.testing import assert_close

from interp.models.blocks import MLP, LayerNorm
from interp.models.config import TransformerConfig
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
