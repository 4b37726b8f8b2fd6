"""Language models whose heads are known: an induction circuit by hand, and random ones of several shapes."""

from typing import Any

import torch
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from interp.tasks import RepeatedTokens, TokenSequences

D_VOCAB, PERIOD, N_HEADS = 16, 12, 6
N_POS = 1 + 2 * PERIOD
N_CTX = N_POS + 1  # TransformerLens's detector wants room for one token more
D_HEAD = D_VOCAB + N_CTX
SHARPNESS = 40.0
"""Difference of scores between the key that a built head looks at and all others: attention of 1 up to 1e-15."""
PREVIOUS, DUPLICATE, INDUCTION = (0, 0), (0, 1), (1, 0)
"""The built heads, (layer, head) from 0; the other heads are random and faint."""


def sequences(n_sequences: int = 6, seed: int = 0) -> TokenSequences:
    """Twice the same 12 tokens, behind BOS."""
    return RepeatedTokens(d_vocab=D_VOCAB, n_pos=N_POS, shortest=PERIOD, longest=PERIOD).sample(n_sequences, seed=seed)


def native(seed: int = 0, dtype: torch.dtype = torch.float32, **options: Any) -> TransformerBridge:
    """A native model with random weights, attention-only unless said."""
    sizes = {"d_model": 32, "d_head": 8, "n_layers": 2, "n_heads": 4, "n_ctx": 64, "d_vocab": 50}
    cfg = TransformerBridgeConfig(**{**sizes, "attn_only": True, "act_fn": "relu", "seed": seed, **options})
    return TransformerBridge.boot_native(cfg, dtype=dtype)


def gpt2(seed: int = 0, dtype: torch.dtype = torch.float32) -> TransformerBridge:
    """A small GPT-2 with random weights and tied embeddings."""
    config = GPT2Config(n_layer=2, n_head=4, n_embd=32, vocab_size=50, n_positions=64, bos_token_id=0, eos_token_id=0)
    return _bridge(GPT2LMHeadModel, config, seed, dtype)


def llama(seed: int = 0, dtype: torch.dtype = torch.float32) -> TransformerBridge:
    """A small Llama with random weights whose heads share keys and values in pairs."""
    config = LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=64,
        vocab_size=50,
        max_position_embeddings=64,
    )
    return _bridge(LlamaForCausalLM, config, seed, dtype)


def _bridge(kind: type[PreTrainedModel], config: Any, seed: int, dtype: torch.dtype) -> TransformerBridge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).eval().to(dtype)
    return build_bridge_from_module(model, kind.__name__, hf_config=config)


def induction_circuit(*, faint: float = 0.02, dtype: torch.dtype = torch.float64) -> TransformerBridge:
    """Two attention-only layers without norms that copy by induction, exactly (Elhage et al. 2021).

    The stream holds the token, the position, the previous token and the answer, one entry for each value. Head 0 of
    layer 0 writes the previous token's identity; head 1 finds earlier copies of the token and writes nothing. Head 0 of
    layer 1 finds the keys whose previous token is the query's and writes their token as the answer, which the
    unembedding reads. The other heads have random weights of size ``faint``.
    """
    token, position = slice(0, D_VOCAB), slice(D_VOCAB, D_HEAD)
    previous, answer = slice(D_HEAD, D_HEAD + D_VOCAB), slice(D_HEAD + D_VOCAB, D_HEAD + 2 * D_VOCAB)
    d_model = answer.stop
    sizes = {"d_model": d_model, "d_head": D_HEAD, "n_heads": N_HEADS, "n_ctx": N_CTX, "d_vocab": D_VOCAB}
    bridge = native(normalization_type=None, dtype=dtype, **sizes)
    ids, places = torch.eye(D_VOCAB), torch.eye(N_CTX)

    def into(rows: slice, block: Tensor, columns: slice) -> Tensor:
        """A map [d_model d_head] that takes the entries ``rows`` of the stream to ``columns`` of the head."""
        weight = torch.zeros(d_model, D_HEAD)
        weight[rows, columns] = block
        return weight

    sharp = SHARPNESS * D_HEAD**0.5
    read_token, read_place = into(token, ids, token), into(position, places, position)
    look_back = into(position, sharp * places.roll(-1, 1), position)  # position i asks for i - 1
    look_back[position.start] = 0  # there is nothing before position 0
    not_itself = into(token, 2 * sharp * ids, token) - into(position, sharp * places, position)
    nothing = torch.zeros(d_model, D_HEAD)
    built = {
        PREVIOUS: (look_back, read_place, read_token, into(previous, ids, token)),
        DUPLICATE: (not_itself, read_token + 2 * read_place, nothing, nothing),
        INDUCTION: (into(token, sharp * ids, token), into(previous, ids, token), read_token, into(answer, ids, token)),
    }
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in range(2):
            for head in range(N_HEADS):
                random = torch.randn(4, d_model, D_HEAD, generator=generator) * faint
                set_head(bridge, layer, head, *built.get((layer, head), random))
        bridge.embed.original_component.weight.copy_(torch.eye(d_model)[token])
        bridge.pos_embed.original_component.weight.copy_(torch.eye(d_model)[position])
        bridge.unembed.original_component.weight.copy_(20 * torch.eye(d_model)[answer])
    return bridge


def set_head(
    bridge: TransformerBridge, layer: int, head: int, W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O_transposed: Tensor
) -> None:
    """Give one head of a native model its weights, all [d_model d_head], without biases."""
    attention = bridge.blocks[layer].attn
    d_head = W_Q.shape[1]
    own = slice(head * d_head, (head + 1) * d_head)
    for name, weight in {"q": W_Q, "k": W_K, "v": W_V}.items():
        getattr(attention, name).original_component.weight[own] = weight.T.to(bridge.cfg.dtype)
        getattr(attention, name).original_component.bias[own] = 0
    attention.o.original_component.weight[:, own] = W_O_transposed.to(bridge.cfg.dtype)


def gemma(seed: int = 0, dtype: torch.dtype = torch.float32) -> TransformerBridge:
    """A small Gemma 2 with random weights: norms before and after attention, whose gains are told from 1."""
    config = Gemma2Config(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        hidden_size=32,
        intermediate_size=64,
        vocab_size=50,
        max_position_embeddings=64,
    )
    return _bridge(Gemma2ForCausalLM, config, seed, dtype)


def granite(seed: int = 0, dtype: torch.dtype = torch.float32) -> TransformerBridge:
    """A small Granite with random weights, which halves what its layers add to the stream."""
    config = GraniteConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=64,
        vocab_size=50,
        max_position_embeddings=64,
        residual_multiplier=0.5,
    )
    return _bridge(GraniteForCausalLM, config, seed, dtype)


FAMILIES = {
    "native without norms": lambda seed=0, dtype=torch.float32: native(seed, dtype, normalization_type=None),
    "native with LayerNorm": lambda seed=0, dtype=torch.float32: native(seed, dtype, normalization_type="LN"),
    "native, grouped queries": lambda seed=0, dtype=torch.float32: native(
        seed,
        dtype,
        normalization_type="RMS",
        positional_embedding_type="rotary",
        n_key_value_heads=2,
        attn_only=False,
        n_layers=3,
    ),
    "GPT-2": gpt2,
    "Llama": llama,
    "Gemma 2": gemma,
    "Granite": granite,
}
"""Random models of every kind that the analyses read."""
