"""Folders as transformers writes them, of language models too small to say anything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

VOCABULARY = 100
END = "<|end|>"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": VOCABULARY,
}


def gpt2(**options: Any) -> transformers.PreTrainedModel:
    cfg = transformers.GPT2Config(n_layer=2, n_head=4, n_embd=32, vocab_size=VOCABULARY, n_positions=128, **options)
    return made(transformers.GPT2LMHeadModel, cfg)


def llama() -> transformers.PreTrainedModel:
    """Four heads that share two keys and values."""
    cfg = transformers.LlamaConfig(**SIZES, num_key_value_heads=2, max_position_embeddings=128)
    return made(transformers.LlamaForCausalLM, cfg)


def opt() -> transformers.PreTrainedModel:
    cfg = transformers.OPTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        vocab_size=VOCABULARY,
        max_position_embeddings=128,
        word_embed_proj_dim=32,
    )
    return made(transformers.OPTForCausalLM, cfg)


def bert() -> transformers.PreTrainedModel:
    return made(transformers.BertForMaskedLM, transformers.BertConfig(**SIZES))


def bare_bert() -> transformers.PreTrainedModel:
    return made(transformers.BertModel, transformers.BertConfig(**SIZES))


def t5() -> transformers.PreTrainedModel:
    cfg = transformers.T5Config(
        num_layers=2, num_heads=4, d_model=32, d_kv=8, d_ff=64, vocab_size=VOCABULARY, decoder_start_token_id=0
    )
    return made(transformers.T5ForConditionalGeneration, cfg)


def mamba() -> transformers.PreTrainedModel:
    cfg = transformers.MambaConfig(num_hidden_layers=2, hidden_size=32, vocab_size=VOCABULARY, state_size=4)
    return made(transformers.MambaForCausalLM, cfg)


def made(kind: Callable[[Any], transformers.PreTrainedModel], cfg: Any) -> transformers.PreTrainedModel:
    """A model with the initial weights of seed 0, as it answers, not as it trains."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(cfg).eval()


def write_folder(folder: Path, model: transformers.PreTrainedModel, **tokens: str) -> Path:
    """Save a model and a tokenizer of words w1, w2, ... that begins with ``END`` unless other special tokens are given.

    Returns the folder.
    """
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({END: 0} | {f"w{i}": i for i in range(1, VOCABULARY)}, unk_token=END))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = tokens or {"bos_token": END, "eos_token": END}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token=END, **special).save_pretrained(folder)
    return folder


def edit_config(folder: Path, **fields: Any) -> None:
    """Change fields of config.json; those given as None are taken out."""
    content = json.loads((folder / "config.json").read_text()) | fields
    kept = {name: value for name, value in content.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
