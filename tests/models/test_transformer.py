import pytest
import torch
from torch.testing import assert_close
from transformer_lens import ActivationCache

from interp.models import HookedRegressor, RegressionTransformer, TransformerConfig
from interp.models.blocks import LayerNorm
from interp.tasks import LinearRegression, TokenLayout
from tests.errors import raises_exactly
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

ARCHITECTURES = {
    "linear": {},
    "biased": {"bias": True, "mlp": "relu"},
    "positions": {
        "positions": "sinusoidal",
        "position_mode": "concatenate",
        "d_pos": 4,
        "attention": "softmax",
    },
    "full": FULL,
    "interleaved": {**FULL, "layout": INTERLEAVED, "causal": True},
    "features": {"read_in": "mlp", "width": 7, "read_in_width": 9},
    "no final norm": {"layer_norm": True, "final_norm": False, "mlp": "gelu"},
}
every_architecture = pytest.mark.parametrize("options", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())


def cached(model: RegressionTransformer, n_prompts: int = 3) -> tuple[torch.Tensor, ActivationCache]:
    predictions, cache = model.run_with_cache(model.tokens(model.task.sample(n_prompts)))
    return predictions, cache


@every_architecture
def test_the_components_of_the_stream_add_up_to_it(options):
    _, cache = cached(tiny_model(**options))
    parts, labels = cache.decompose_resid(return_labels=True, apply_ln=False)
    assert labels[0] == "embed"
    assert_close(parts.sum(0), cache["resid_post", -1])


@every_architecture
def test_the_results_of_the_heads_add_up_to_the_attention_output(options):
    model = tiny_model(**options)
    _, cache = cached(model)
    results = cache.stack_head_results(layer=2).unflatten(0, (2, 2))  # [layer head ...]
    for layer, block in enumerate(model.blocks):
        bias = block.attn.b_O if model.cfg.bias else 0
        assert_close(results[layer].sum(0) + bias, cache["attn_out", layer])


@every_architecture
def test_the_accumulated_stream_is_the_stream_before_each_layer_and_at_the_end(options):
    _, cache = cached(tiny_model(**options))
    accumulated, labels = cache.accumulated_resid(return_labels=True)
    assert labels == ["0_pre", "1_pre", "final_post"]
    assert_close(accumulated, torch.stack([cache["resid_pre", 0], cache["resid_pre", 1], cache["resid_post", 1]]))


@every_architecture
def test_the_readout_of_the_last_layer_is_the_prediction(options):
    model = tiny_model(**options)
    predictions, cache = cached(model)
    positions = model.prediction_positions(cache["resid_post", 1].shape[1])
    assert_close(model.decode(cache["resid_post", 1])[:, positions], predictions)


def test_the_readout_of_a_whole_model_is_the_final_norm_then_an_affine_map():
    model = tiny_model(**FULL)
    resid = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert isinstance(model.ln_final, LayerNorm)
    normed = torch.nn.functional.layer_norm(resid, (12,), model.ln_final.w, model.ln_final.b, 1e-5)
    assert_close(model.decode(resid), (normed @ model.W_U)[..., 0] + model.b_U)


@pytest.mark.parametrize("y_position", ["first", "last"])
@pytest.mark.parametrize("options", [{}, {"read_in": "mlp", "width": 6}], ids=["identity", "features"])
def test_without_a_final_norm_the_prediction_is_minus_the_y_entry_of_the_last_stream(options, y_position):
    layout = TokenLayout(y_position=y_position)
    model = tiny_model(layer_norm=True, final_norm=False, mlp="gelu", layout=layout, **options)
    predictions, cache = cached(model)
    assert torch.equal(predictions[:, 0], -cache["resid_post", 1][:, -1, 0 if y_position == "first" else -1])
    names = [name for name, _ in model.named_parameters()]
    assert not any("ln_final" in name for name in names)
    assert any("ln2" in name for name in names)  # the blocks still normalise what they read


@every_architecture
def test_running_with_a_cache_predicts_the_same(options):
    model = tiny_model(**options)
    tokens = model.tokens(model.task.sample(3))
    assert_close(model.run_with_cache(tokens)[0], model(tokens))


def test_a_cache_may_be_a_plain_dictionary_and_hold_only_what_is_asked():
    model = tiny_model()
    tokens = model.tokens(model.task.sample(2))
    _, cache = model.run_with_cache(
        tokens, names_filter=lambda name: name.endswith("hook_z"), return_cache_object=False
    )
    assert isinstance(cache, dict)
    assert sorted(cache) == ["blocks.0.attn.hook_z", "blocks.1.attn.hook_z"]


@every_architecture
def test_every_canonical_hook_is_there(options):
    model = tiny_model(**options)
    _, cache = cached(model)
    expected = {"hook_embed"}
    expected |= {"hook_pos_embed"} if model.cfg.positions != "none" else set()
    in_block = ["hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_resid_post"]
    in_block += [f"attn.hook_{name}" for name in ("q", "k", "v", "attn_scores", "pattern", "z")]
    in_block += ["mlp.hook_pre", "mlp.hook_post", "hook_mlp_out"] if model.cfg.mlp != "none" else []
    in_block += ["ln1.hook_normalized", "ln2.hook_normalized"] if model.cfg.layer_norm else []
    expected |= {f"blocks.{layer}.{name}" for layer in (0, 1) for name in in_block}
    expected |= {"ln_final.hook_normalized"} if model.cfg.layer_norm and model.cfg.final_norm else set()
    of_read_in = {f"read_in.hook_{name}" for name in ("pre", "post", "features")}
    expected |= of_read_in if model.cfg.read_in == "mlp" else set()
    assert expected <= set(cache.keys())


@every_architecture
def test_it_follows_the_protocol_of_a_hooked_regressor(options):
    assert isinstance(tiny_model(**options), HookedRegressor)


def test_a_causal_interleaved_model_predicts_every_point_and_the_others_the_query():
    assert tiny_model(layout=INTERLEAVED, causal=True).predicted_points == (0, 1, 2, 3, 4, 5)
    assert tiny_model(layout=INTERLEAVED).predicted_points == (5,)
    assert tiny_model(causal=True).predicted_points == (5,)


@pytest.mark.parametrize(
    ("options", "parallel"),
    [
        ({}, True),
        ({"query_in_context": True}, False),
        ({"layout": INTERLEAVED}, False),
        ({"positions": "sinusoidal"}, False),
    ],
)
def test_queries_are_asked_in_parallel_only_where_they_cannot_see_each_other(options, parallel):
    model = tiny_model(**options)
    assert model.asks_in_parallel is parallel
    if not parallel:
        with raises_exactly(
            ValueError,
            "This model takes one query per prompt: its queries would see or displace each other. "
            "Use prompts.one_query_each().",
        ):
            model(model.tokens(model.task.sample(2)), n_queries=2)


def test_a_readout_of_one_coordinate_is_recognised():
    assert tiny_model().reads_one_coordinate
    assert not tiny_model(layer_norm=True).reads_one_coordinate
    assert tiny_model(layer_norm=True, final_norm=False).reads_one_coordinate
    assert tiny_model(read_in="mlp", width=6).reads_one_coordinate
    dense = tiny_model(readout="linear")
    assert not dense.reads_one_coordinate
    with torch.no_grad():
        dense.W_U[:-1] = 0
    assert dense.reads_one_coordinate


@pytest.mark.parametrize("options", [{"n_layers": 3}, {**FULL, "n_layers": 3}], ids=["linear", "full"])
def test_looped_layers_are_one_layer_applied_again(options):
    looped = tiny_model(**options, looped=True)
    unrolled = tiny_model(**options)
    names = [name for name, _ in looped.named_parameters()]
    assert not any(name.startswith(("blocks.1", "blocks.2")) for name in names)
    with torch.no_grad():
        shared = dict(looped.named_parameters())
        for name, parameter in unrolled.named_parameters():
            parts = name.split(".")
            source = ".".join(["blocks", "0", *parts[2:]]) if parts[0] == "blocks" else name
            parameter.copy_(shared[source])
    tokens = looped.tokens(looped.task.sample(3))
    assert_close(looped(tokens), unrolled(tokens))


def test_looped_layers_share_every_change_and_gather_every_gradient():
    looped = tiny_model(n_layers=2, looped=True, mlp="relu")
    first, second = looped.blocks
    assert second.attn.W_Q is first.attn.W_Q
    assert first.mlp is not None
    assert second.mlp is not None
    assert second.mlp.W_in is first.mlp.W_in
    tokens = looped.tokens(looped.task.sample(3))
    _, cache = looped.run_with_cache(tokens)
    assert (cache["resid_post", 0] - cache["resid_post", 1]).abs().max() > 1e-3
    assert cache["q", 0].shape == cache["q", 1].shape  # each pass has hooks of its own


def test_initial_weights_are_a_function_of_the_seed():
    same = [tiny_model(seed=3, random_biases=False).state_dict() for _ in range(2)]
    other = tiny_model(seed=4, random_biases=False).state_dict()
    for name, values in same[0].items():
        assert torch.equal(values, same[1][name])
        assert not torch.isclose(values, other[name]).any()


def test_initial_weights_are_normal_and_cut_at_two_deviations():
    cfg = TransformerConfig(
        dim=20,
        n_layers=2,
        n_heads=2,
        mlp="relu",
        read_in="linear",
        readout="linear",
        width=128,
        init_variance=0.5,
    )
    model = RegressionTransformer(cfg, LinearRegression(dim=20))
    fan_in = {
        "W_Q": 128,
        "W_K": 128,
        "W_V": 128,
        "W_O": 128,
        "W_in": 128,
        "W_out": 512,
        "W_E": 21,
        "W_U": 128,
    }
    for path, values in model.named_parameters():
        name = path.rsplit(".", 1)[-1]
        if name not in fan_in:
            assert not values.any()  # biases
            continue
        depth = 2 if path.startswith("blocks.") else 1
        deviation = (0.5 / (depth * fan_in[name])) ** 0.5
        assert values.abs().max() <= 2 * deviation * (1 + 1e-6)
        # Cut at two deviations a normal keeps 0.8796 of its deviation, with a relative sampling error of about
        # 0.6 / sqrt(n) for n weights; 5 of them.
        assert values.std().item() == pytest.approx(0.8796 * deviation, rel=3 / values.numel() ** 0.5)


def test_gpt2_weights_have_deviation_one_fiftieth():
    cfg = TransformerConfig(dim=20, read_in="linear", readout="linear", width=128, init="gpt2")
    model = RegressionTransformer(cfg, LinearRegression(dim=20))
    assert model.W_Q.std().item() == pytest.approx(0.02, rel=5 / (2 * 128**2) ** 0.5)


def test_an_untrained_twin_is_the_architecture_with_the_initial_weights_of_its_seed():
    model = tiny_model(seed=1, random_biases=False).float()
    with torch.no_grad():
        model.blocks[0].attn.W_Q += 1
    twin, fresh = model.untrained_twin(5), RegressionTransformer(model.cfg, model.task, seed=5)
    assert twin.cfg == model.cfg
    for name, values in fresh.state_dict().items():
        assert torch.equal(twin.state_dict()[name], values)
    assert not torch.equal(twin.blocks[0].attn.W_Q, model.blocks[0].attn.W_Q)


def test_an_untrained_twin_has_the_models_precision():
    for dtype in (torch.float32, torch.float64):
        assert tiny_model().to(dtype).untrained_twin(0).W_Q.dtype == dtype


def test_tokens_come_in_the_models_precision():
    model = tiny_model()
    prompts = model.task.sample(2)
    assert prompts.xs.dtype == torch.float32
    assert model.tokens(prompts).dtype == torch.float64
    assert model.float().tokens(prompts).dtype == torch.float32


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 6, 6), (6, 5)], ids=str)
def test_tokens_of_another_width_are_refused(shape):
    with raises_exactly(
        ValueError,
        f"Expected tokens of shape [prompt pos 5], got {shape}. Make them with model.tokens(prompts).",
    ):
        tiny_model()(torch.zeros(shape, dtype=torch.float64))


def test_softmax_without_anything_to_attend_to_is_refused():
    model = tiny_model(attention="softmax", n_points=1)
    with raises_exactly(
        ValueError, "Softmax attention needs at least one example before the queries; the prompts have none."
    ):
        model(model.tokens(model.task.sample(2)))


def test_linear_attention_without_examples_predicts_0():
    model = tiny_model(n_points=1)
    assert not model(model.tokens(model.task.sample(2))).any()


def test_model_and_task_must_agree_on_dim():
    with raises_exactly(ValueError, "The model reads inputs of dim 4, the task draws them of dim 3."):
        RegressionTransformer(TransformerConfig(dim=4), LinearRegression(dim=3))


@pytest.mark.gpu
@every_architecture
def test_a_gpu_predicts_what_the_cpu_does(options):
    model = tiny_model(**options)
    prompts = model.task.sample(8)
    expected = model(model.tokens(prompts))
    model.to("cuda")
    assert_close(model(model.tokens(prompts)).cpu(), expected)


def test_a_shared_y_slot_reads_in_as_many_numbers_as_an_input_has():
    model = tiny_model(
        **{**FULL, "layout": TokenLayout(kind="interleaved", y_position="first", y_slot="shared")},
        causal=True,
    )
    tokens = model.tokens(model.task.sample(3))
    assert tokens.shape[-1] == model.W_E.shape[0] == 4
    assert torch.isfinite(model(tokens)).all()
