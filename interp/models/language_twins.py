"""Language models that have not learnt anything."""

import copy

import torch
import transformers
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformer_lens.model_bridge.sources.native import NativeModel

from interp._seeds import derive_seed
from interp.models.language import build_language_model
from interp.models.token_config import TokenModelConfig


def untrained_language_twin(bridge: TransformerBridge, seed: int) -> TransformerBridge:
    """The same architecture with initial weights of its own law, on the same device and in the same precision.

    The weights are a function of the architecture and ``seed``; for a model trained here those that training with this
    seed starts from. The tokenizer is shared.
    """
    parameter = next(bridge.parameters())
    return _untrained(bridge, seed).to(parameter.device, parameter.dtype, print_details=False)


def _untrained(bridge: TransformerBridge, seed: int) -> TransformerBridge:
    if isinstance(config := getattr(bridge, "token_config", None), TokenModelConfig):
        return build_language_model(config, bridge.task, seed=seed)
    drawn = derive_seed(seed, "initial weights")
    if isinstance(bridge.original_model, NativeModel):
        cfg = copy.deepcopy(bridge.cfg)
        cfg.seed, cfg.init_weights = drawn, True
        return TransformerBridge.boot_native(cfg, tokenizer=bridge.tokenizer)
    with torch.random.fork_rng(devices=[]):  # transformers draws from the global stream
        torch.manual_seed(drawn)
        config = copy.deepcopy(bridge.original_model.config)
        # Eager attention shows its patterns, as it does in the bridges that boot_transformers makes.
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        return build_bridge_from_module(model, bridge.cfg.architecture, hf_config=config, tokenizer=bridge.tokenizer)
