import pytest
import torch
from torch.testing import assert_close

import interp
from interp.matching import effective_steps, interpolate_with_gd
from interp.solvers import Regressions, make_solver
from interp.tasks import TokenLayout
from tests.errors import raises_exactly
from tests.models.tiny import tiny_model


@pytest.mark.parametrize("dim", [2, 5, 20])
def test_step_size_and_gamma_are_read_off_constructions_exactly(dim):
    for layer in effective_steps(interp.load(f"gd:steps=3,dim={dim},lr={dim / 4}")):
        assert (layer.eta_over_n, layer.gamma, layer.off_structure) == (1 / 8, 0, 0)
    for layer in effective_steps(interp.load(f"gd++:steps=2,dim={dim},lr=0.125,gamma=0.015625")):
        assert (layer.eta_over_n, layer.gamma, layer.off_structure) == (1 / 8, 1 / 64, 0)


def test_layers_are_numbered_from_1():
    assert [layer.layer for layer in effective_steps(interp.load("gd:steps=3"))] == [1, 2, 3]


def test_the_reading_does_not_depend_on_how_the_products_are_split_into_factors():
    model = interp.load("gd++:steps=2,lr=0.125,gamma=0.015625").double()
    mix = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    with torch.no_grad():
        for block in model.blocks:
            attn = block.attn
            attn.W_Q.copy_(attn.W_Q @ mix * 3)
            attn.W_K.copy_(attn.W_K @ mix / 6)
            attn.W_V.copy_(attn.W_V @ mix)
            attn.W_O.copy_(mix.T @ attn.W_O * 2)
    for layer in effective_steps(model.float()):
        assert layer.eta_over_n == pytest.approx(1 / 8, rel=1e-5)
        assert layer.gamma == pytest.approx(1 / 64, rel=1e-5)
        assert layer.off_structure < 1e-5


def test_the_step_sizes_of_several_heads_add_up():
    model = tiny_model(n_layers=1, n_heads=2, head_width=5).float()
    with torch.no_grad():
        attn = model.blocks[0].attn
        read_x, read_y = torch.diag(torch.tensor([1.0, 1, 1, 1, 0])), torch.diag(torch.tensor([0.0, 0, 0, 0, 1]))
        for head, eta in enumerate((0.5, 0.25)):
            attn.W_Q[head], attn.W_K[head], attn.W_V[head], attn.W_O[head] = read_x, read_x, read_y, -eta * read_y
    (layer,) = effective_steps(model)
    assert (layer.eta_over_n, layer.off_structure) == (0.75, 0)


def test_y_may_stand_first():
    model = tiny_model(n_layers=1, n_heads=1, head_width=5, layout=TokenLayout(y_position="first")).float()
    with torch.no_grad():
        attn = model.blocks[0].attn
        attn.W_Q[0] = attn.W_K[0] = torch.diag(torch.tensor([0.0, 1, 1, 1, 1]))
        attn.W_V[0], attn.W_O[0] = torch.eye(5), torch.diag(torch.tensor([-0.5, -0.25, -0.25, -0.25, -0.25]))
    (layer,) = effective_steps(model)
    assert (layer.eta_over_n, layer.gamma, layer.off_structure) == (0.5, 0.25, 0)


def test_what_is_not_a_multiple_of_the_identity_is_off_structure():
    model = interp.load("gd:dim=2,lr=0.5")  # eta/n is 1/8
    with torch.no_grad():
        model.blocks[0].attn.W_Q[0, :2, :2] = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    (layer,) = effective_steps(model)
    assert layer.eta_over_n == pytest.approx(1 / 8)
    assert layer.off_structure == pytest.approx(3**-0.5)  # one of the three entries of size 1/8


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_construction_with_rescaled_weights_interpolates_to_itself(share):
    model = interp.load("gd:steps=3,lr=1.25")
    tokens = model.tokens(model.task.sample(10))
    expected = model(tokens)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_K.mul_(3)
            block.attn.W_O.div_(3)
    assert_close(model(tokens), expected)
    assert_close(interpolate_with_gd(model, eta_over_n=1 / 8, share=share)(tokens), expected)


def test_a_share_of_0_is_the_model_and_a_share_of_1_is_gradient_descent():
    model = tiny_model(n_layers=2, n_heads=1, head_width=3, random_biases=False).float()
    prompts = model.task.sample(10)
    tokens = model.tokens(prompts)
    assert_close(interpolate_with_gd(model, 0.1, share=0.0)(tokens), model(tokens), rtol=1e-4, atol=1e-6)
    gd = make_solver("gd", lr=0.1 * prompts.n_examples).predict(Regressions.of(prompts), [2])[0]
    assert_close(interpolate_with_gd(model, 0.1, share=1.0)(tokens), gd.float(), rtol=1e-4, atol=1e-6)


def test_interpolation_leaves_the_model_as_it_was():
    model = interp.load("gd:steps=2")
    before = [parameter.clone() for parameter in model.parameters()]
    interpolate_with_gd(model, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_interpolation_is_defined_for_one_head():
    with raises_exactly(ValueError, "Interpolation is defined for one head, the model has 2."):
        interpolate_with_gd(tiny_model().float(), 0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "softmax"},
        {"mlp": "relu"},
        {"layer_norm": True},
        {"positions": "sinusoidal"},
        {"read_in": "linear", "readout": "linear", "width": 8},
        {"layout": TokenLayout(kind="interleaved")},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_architectures_cannot_be_held_against_proposition_1(options):
    model = tiny_model(**options)
    with raises_exactly(
        ValueError,
        "The weights can be held against Proposition 1 only for linear attention on paired tokens, without MLP, "
        f"norm or positions and with an identity read-in; this model has {model.cfg}.",
    ):
        effective_steps(model)
