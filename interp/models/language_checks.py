"""What a language model must be for its heads to be studied."""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

HALF = (torch.float16, torch.bfloat16)
"""Precisions that the CPU does not compute attention in to any use."""


def pattern_hooks(bridge: TransformerBridge) -> list[str]:
    """Names of the hooks on the attention patterns [prompt head pos pos], one for each layer."""
    return [f"blocks.{layer}.attn.hook_pattern" for layer in range(bridge.cfg.n_layers)]


def check_language_model(bridge: TransformerBridge) -> None:
    """Refuse what the analyses of heads cannot read.

    Raises ValueError for an encoder-decoder, for half precision on the CPU, for a model with a layer whose attention
    pattern cannot be hooked (one without attention, say), and for one whose tokens see later tokens. The last two are
    found out by running it on a few tokens.
    """
    name = bridge.cfg.architecture or "This model"
    if getattr(getattr(bridge.original_model, "config", None), "is_encoder_decoder", False):
        raise ValueError(f"{name} has an encoder beside its decoder; give a causal language model, such as GPT-2.")
    parameter = next(bridge.parameters())
    if parameter.dtype in HALF and parameter.device.type == "cpu":
        raise ValueError(
            f"{name} is in {str(parameter.dtype).removeprefix('torch.')} on the CPU; convert it by "
            "bridge.to(torch.float32), or move it to a GPU. interp.load converts by itself."
        )
    patterns = _look(bridge)
    without = [layer for layer, hook in enumerate(pattern_hooks(bridge)) if hook not in patterns]
    if without:
        raise ValueError(
            f"{name} has no attention patterns to hook in {len(without)} of its {bridge.cfg.n_layers} layers "
            f"({', '.join(map(str, without))}); heads can be studied where every layer attends."
        )
    if any(pattern.triu(1).any() for pattern in patterns.values()):
        raise ValueError(
            f"{name} is an encoder: its tokens attend to later ones. Give a causal language model, such as GPT-2."
        )


def can_edit_patterns(bridge: TransformerBridge) -> bool:
    """Whether an edited attention pattern changes what the model computes, in every layer.

    TransformerLens shows the patterns of some architectures (OPT, for one) only after the model has used them. Where
    edits count, heads that attend to nothing hand on nothing.
    """
    results = [hook.replace("hook_pattern", "hook_z") for hook in pattern_hooks(bridge)]
    seen: dict[str, Tensor] = {}

    def nothing(pattern: Tensor, hook: HookPoint) -> Tensor:
        return torch.zeros_like(pattern)

    def keep(z: Tensor, hook: HookPoint) -> None:
        seen[hook.name] = z

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TransformerLens's, that the edit is lost
        bridge.run_with_hooks(
            _few_tokens(bridge),
            return_type=None,
            fwd_hooks=[(name, nothing) for name in pattern_hooks(bridge)] + [(name, keep) for name in results],
        )
    return len(seen) == len(results) and not any(z.any() for z in seen.values())


def _look(bridge: TransformerBridge) -> dict[str, Float[Tensor, "prompt head pos pos"]]:
    """The attention patterns of those layers that have one, on a few tokens."""
    wanted = [name for name in pattern_hooks(bridge) if name in bridge.hook_dict]
    with torch.no_grad():
        _, cache = bridge.run_with_cache(_few_tokens(bridge), names_filter=wanted, return_type=None)
    return {name: cache[name] for name in wanted if name in cache}


def _few_tokens(bridge: TransformerBridge) -> Int[Tensor, "prompt pos"]:
    n_tokens = min(4, bridge.cfg.n_ctx)
    return torch.arange(n_tokens, device=next(bridge.parameters()).device)[None] % bridge.cfg.d_vocab
