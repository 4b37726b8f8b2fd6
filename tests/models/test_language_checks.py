import copy

import pytest
import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from interp.models.language import build_language_model
from interp.models.language_checks import can_edit_patterns, check_language_model
from interp.models.token_config import TokenModelConfig
from interp.tasks import RepeatedTokens
from tests.errors import raises_exactly
from tests.models.language_folders import bert, gpt2, llama, mamba, opt, t5


def bridged(model) -> TransformerBridge:
    """As a caller may wrap a model, without any check of ours."""
    model = copy.deepcopy(model)
    return TransformerBridge.boot_transformers("mine", hf_model=model, tokenizer=None, device="cpu")


@pytest.fixture(autouse=True)
def no_tokenizer(monkeypatch):
    """A model in memory has no folder to take a tokenizer from."""
    module = "transformer_lens.model_bridge.sources.transformers.source.skip_tokenizer_for_modality"
    monkeypatch.setattr(module, lambda cfg: True)


def ours() -> TransformerBridge:
    task = RepeatedTokens(d_vocab=30, n_pos=25, shortest=3, longest=9)
    return build_language_model(TokenModelConfig(d_vocab=30, n_ctx=25), task)


@pytest.mark.parametrize("make", [gpt2, llama, opt], ids=lambda make: make.__name__)
def test_causal_language_models_are_read(make):
    check_language_model(bridged(make()))


def test_native_models_are_read_up_to_the_shortest_context():
    check_language_model(ours())
    sizes = {"d_model": 12, "d_head": 6, "n_heads": 2, "n_layers": 2, "d_vocab": 3, "n_ctx": 2, "device": "cpu"}
    check_language_model(TransformerBridge.boot_native(TransformerBridgeConfig(**sizes)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            bert,
            "BertForMaskedLM is an encoder: its tokens attend to later ones. Give a causal language model, such as "
            "GPT-2.",
        ),
        (
            t5,
            "T5ForConditionalGeneration has an encoder beside its decoder; give a causal language model, such as "
            "GPT-2.",
        ),
        (
            mamba,
            "MambaForCausalLM has no attention patterns to hook in 2 of its 2 layers (0, 1); heads can be studied "
            "where every layer attends.",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_has_no_causal_attention_in_every_layer_is_refused(make, message):
    with raises_exactly(ValueError, message):
        check_language_model(bridged(make()))


def test_one_layer_that_looks_ahead_makes_an_encoder():
    bridge = ours()
    bridge.blocks[1].attn.original_component.causal = False
    with raises_exactly(
        ValueError,
        "TransformerLensNative is an encoder: its tokens attend to later ones. Give a causal language model, such as "
        "GPT-2.",
    ):
        check_language_model(bridge)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_on_the_cpu_is_refused(name):
    with raises_exactly(
        ValueError,
        f"GPT2LMHeadModel is in {name} on the CPU; convert it by bridge.to(torch.float32), or move it to a GPU. "
        "interp.load converts by itself.",
    ):
        check_language_model(bridged(gpt2().to(getattr(torch, name))))


def test_double_precision_is_read():
    check_language_model(bridged(gpt2().double()))


def test_a_check_leaves_no_hooks_and_no_gradients():
    bridge = ours()
    check_language_model(bridge)
    assert can_edit_patterns(bridge)
    assert not any(hook.fwd_hooks for hook in bridge.hook_dict.values())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in bridge.parameters())


@pytest.mark.parametrize(("make", "counts"), [(gpt2, True), (llama, True), (opt, False)], ids=["gpt2", "llama", "opt"])
def test_an_edited_pattern_counts_where_the_answer_depends_on_it(make, counts):
    bridge = bridged(make())
    assert can_edit_patterns(bridge) == counts
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    edits = [(f"blocks.{layer}.attn.hook_pattern", lambda pattern, hook: pattern * 0) for layer in range(2)]
    if counts:
        assert not torch.equal(bridge.run_with_hooks(tokens, fwd_hooks=edits), bridge(tokens))
    else:
        with pytest.warns(UserWarning, match="The edit is discarded"):
            assert torch.equal(bridge.run_with_hooks(tokens, fwd_hooks=edits), bridge(tokens))
