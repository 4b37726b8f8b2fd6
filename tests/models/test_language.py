from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from interp.models.build import build_model
from interp.models.folders import named_parameters
from interp.models.hugging_face import load_hugging_face
from interp.models.language import bos_id, build_language_model, evaluation_sequences
from interp.models.language_twins import untrained_language_twin
from interp.models.token_config import TokenModelConfig
from interp.tasks import LinearRegression, RepeatedTokens
from tests.errors import raises_exactly
from tests.models.language_folders import END, gpt2, llama, write_folder

CFG = TokenModelConfig(d_vocab=30, n_ctx=25, n_heads=2, d_model=12)
TASK = RepeatedTokens(d_vocab=30, n_pos=25, shortest=3, longest=9)


def weights_of(model: TransformerBridge) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in named_parameters(model).values()])


def test_it_has_the_sizes_of_its_config_and_no_mlps():
    bridge = build_language_model(CFG, TASK)
    sizes = bridge.cfg
    assert (sizes.n_layers, sizes.n_heads, sizes.d_model, sizes.d_head) == (2, 2, 12, 6)
    assert bridge.W_E.shape == (30, 12) and bridge.W_pos.shape == (25, 12) and bridge.W_Q.shape == (2, 2, 12, 6)
    assert not [name for name in named_parameters(bridge) if "mlp" in name]
    assert (bridge.token_config, bridge.task, bridge.info) == (CFG, TASK, None)


def test_its_parameters_bear_the_names_of_its_state_dict_and_come_once_each():
    bridge = build_language_model(CFG, TASK)
    parameters = named_parameters(bridge)
    assert {id(parameter) for parameter in parameters.values()} == {id(parameter) for parameter in bridge.parameters()}
    assert len(parameters) == len(list(bridge.parameters()))
    assert {"embed.weight", "blocks.1.attn.q.weight", "ln_final.bias", "unembed.weight"} < set(parameters)
    assert set(parameters) < set(bridge.state_dict())


@pytest.mark.parametrize("layer_norm", [True, False])
def test_a_layer_without_norm_has_no_norm(layer_norm):
    bridge = build_language_model(TokenModelConfig(d_vocab=30, n_ctx=25, layer_norm=layer_norm), TASK)
    assert bool([name for name in named_parameters(bridge) if ".ln" in name]) == layer_norm


def test_rotary_positions_have_no_weights_and_tell_offsets_alone():
    rotary = TokenModelConfig(d_vocab=30, n_ctx=25, n_heads=2, d_model=12, n_layers=1, positions="rotary")
    learned = replace(rotary, positions="learned")
    for cfg in (rotary, learned):
        bridge = build_language_model(cfg, TASK)
        assert ("pos_embed.weight" in named_parameters(bridge)) == (cfg is learned)
        tokens = torch.tensor([[3, 1, 4, 1, 5, 9]]).repeat(1, 3)
        _, cache = bridge.run_with_cache(tokens, names_filter="blocks.0.attn.hook_pattern")
        scores = cache["blocks.0.attn.hook_pattern"].log()  # up to a constant for each query
        early, late = (scores[0, :, q, q - 5 : q + 1] for q in (7, 13))  # the same tokens at the same offsets
        shifts = (early - late).std(-1).max().item()
        assert (shifts < 1e-5) == (cfg is rotary)


def test_initial_weights_are_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    first = weights_of(build_language_model(CFG, TASK, seed=4))
    torch.manual_seed(2)
    assert torch.equal(weights_of(build_language_model(CFG, TASK, seed=4)), first)
    assert not torch.equal(weights_of(build_language_model(CFG, TASK, seed=5)), first)


def test_building_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    build_language_model(CFG, TASK)
    assert torch.equal(torch.rand(3), expected)


def test_a_task_that_does_not_fit_is_refused():
    with raises_exactly(
        ValueError,
        "Cannot build a language model: the model knows 30 token ids, the task draws from 60; change one of them.",
    ):
        build_language_model(CFG, RepeatedTokens(d_vocab=60, n_pos=25, shortest=3, longest=9))


def test_a_model_is_built_for_its_own_sort_of_task():
    assert torch.equal(weights_of(build_model(CFG, TASK, seed=1)), weights_of(build_language_model(CFG, TASK, seed=1)))
    with raises_exactly(
        ValueError,
        "A model of kind 'tokens' does not read LinearRegression; those of kind 'tokens' read RepeatedTokens, and no "
        "others do.",
    ):
        build_model(CFG, LinearRegression())


def native(**options) -> TransformerBridge:
    """A model of the caller's own, of which no task is known."""
    sizes = {"d_model": 12, "d_head": 6, "n_heads": 2, "n_layers": 2, "n_ctx": 25, "d_vocab": 30, "device": "cpu"}
    return TransformerBridge.boot_native(TransformerBridgeConfig(**sizes, **options))


@pytest.fixture(scope="module")
def with_bos(tmp_path_factory):
    return load_hugging_face(write_folder(tmp_path_factory.mktemp("gpt2"), gpt2()))


@pytest.fixture(scope="module")
def without_bos(tmp_path_factory):
    return load_hugging_face(write_folder(tmp_path_factory.mktemp("llama"), llama(), eos_token="w7"))


def test_sequences_begin_with_the_bos_of_the_task_or_tokenizer_if_it_has_one(with_bos, without_bos):
    assert bos_id(build_language_model(CFG, TASK)) == 0
    assert bos_id(build_language_model(CFG, RepeatedTokens(d_vocab=30, n_pos=25, longest=9, shortest=3, bos=7))) == 7
    assert (
        bos_id(build_language_model(CFG, RepeatedTokens(d_vocab=30, n_pos=25, longest=9, shortest=3, bos=None))) is None
    )
    assert with_bos.tokenizer.convert_ids_to_tokens(bos_id(with_bos)) == END
    assert without_bos.tokenizer.bos_token_id is not None  # made up by TransformerLens
    assert bos_id(without_bos) is None
    assert bos_id(native()) is None


def test_evaluation_sequences_are_random_tokens_twice_over(with_bos, without_bos):
    for bridge, before in ((with_bos, 1), (without_bos, 0)):
        sequences = evaluation_sequences(bridge, n_sequences=5, period=50, seed=3)
        tokens = sequences.tokens
        assert (tokens.shape, sequences.n_before) == ((5, before + 100), before)
        assert sequences.periods.tolist() == [50] * 5
        assert torch.equal(tokens[:, before : before + 50], tokens[:, before + 50 :])
        assert all(len(set(row.tolist())) == 50 for row in tokens[:, before : before + 50])
        assert (tokens[:, :before] == 0).all() and (tokens[:, before:] > 0).all() == bool(before)
        assert torch.equal(tokens, evaluation_sequences(bridge, n_sequences=5, period=50, seed=3).tokens)
        assert not torch.equal(tokens, evaluation_sequences(bridge, n_sequences=5, period=50, seed=4).tokens)


def test_sequences_may_fill_the_context_and_not_exceed_it(with_bos):
    ours = build_language_model(CFG, TASK)
    assert evaluation_sequences(ours, period=12).n_pos == 25
    with raises_exactly(
        ValueError,
        "Sequences of 27 tokens (BOS and twice 13) exceed the model's context of 25; lower `period` to 12 or less.",
    ):
        evaluation_sequences(ours, period=13)
    with raises_exactly(
        ValueError,
        "Sequences of 26 tokens (twice 13) exceed the model's context of 25; lower `period` to 12 or less.",
    ):
        evaluation_sequences(native(), period=13)


@pytest.mark.parametrize("period", [1, 0, -3])
def test_a_single_token_is_no_period(period):
    with raises_exactly(
        ValueError, f"`period` must be at least 2, got {period}: a single token comes again beside itself."
    ):
        evaluation_sequences(native(), period=period)


def test_no_sequences_are_refused():
    with raises_exactly(ValueError, "`n_prompts` must be at least 1, got 0."):
        evaluation_sequences(native(), n_sequences=0, period=5)


def test_an_untrained_twin_of_ours_is_what_training_starts_from():
    bridge = build_language_model(CFG, TASK, seed=1)
    twin = untrained_language_twin(bridge, seed=2)
    assert torch.equal(weights_of(twin), weights_of(build_language_model(CFG, TASK, seed=2)))
    assert (twin.token_config, twin.task) == (CFG, TASK)


@pytest.mark.parametrize("name", ["with_bos", "without_bos", "native"])
def test_untrained_twins_share_the_architecture_and_differ_by_seed(name, request):
    bridge = native(seed=0) if name == "native" else request.getfixturevalue(name)
    before = weights_of(bridge)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (untrained_language_twin(bridge, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)  # the caller's random numbers
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(other))
    assert not torch.equal(weights_of(first), before)
    assert torch.equal(weights_of(bridge), before)
    shapes = {key: values.shape for key, values in bridge.state_dict().items()}
    assert {key: values.shape for key, values in first.state_dict().items()} == shapes
    assert bos_id(first) == bos_id(bridge)
    tokens = evaluation_sequences(bridge, n_sequences=2, period=6).tokens
    assert_close(first(tokens), again(tokens), rtol=0, atol=0)
