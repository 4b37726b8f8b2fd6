"""Small language models of ours, and what is asked of any language model."""

from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from interp._seeds import derive_seed
from interp.models.token_config import TokenModelConfig
from interp.tasks import RepeatedTokens, TokenSequences


def build_language_model(cfg: TokenModelConfig, task: RepeatedTokens, seed: int = 0) -> TransformerBridge:
    """An untrained native model of TransformerLens, on the CPU.

    Its initial weights are a function of ``cfg`` and ``seed``: TransformerLens's, normal of deviation 0.8/sqrt(d_model)
    and less where heads write. Beside TransformerLens's ``cfg`` the bridge bears ``token_config``, ``task`` and
    ``info``. Raises ValueError where config and task do not fit.
    """
    if misfit := cfg.misfit(task):
        raise ValueError(f"Cannot build a language model: {misfit}")
    bridge = TransformerBridge.boot_native(
        TransformerBridgeConfig(
            d_vocab=cfg.d_vocab,
            n_ctx=cfg.n_ctx,
            n_layers=cfg.n_layers,
            n_heads=cfg.n_heads,
            d_model=cfg.d_model,
            d_head=cfg.d_head,
            attn_only=True,
            normalization_type="LN" if cfg.layer_norm else None,
            positional_embedding_type="standard" if cfg.positions == "learned" else "rotary",
            seed=derive_seed(seed, "initial weights"),
            device="cpu",
        )
    )
    bridge.token_config, bridge.task, bridge.info = cfg, task, None
    return bridge


def bos_id(bridge: TransformerBridge) -> int | None:
    """The id that the model's sequences begin with: its tokenizer's BOS, for a model of ours its task's, else none.

    A tokenizer without a BOS counts as none, though TransformerLens gives it one.
    """
    if bridge.tokenizer is not None:
        return bridge.tokenizer.bos_token_id if bridge.cfg.tokenizer_prepends_bos else None
    task = getattr(bridge, "task", None)
    return task.bos if isinstance(task, RepeatedTokens) else None


def evaluation_sequences(
    bridge: TransformerBridge, n_sequences: int = 8, period: int = 50, seed: int = 0
) -> TokenSequences:
    """Random tokens twice over, behind the model's BOS if it has one (see `bos_id`), on the model's device.

    The tokens of a period are all different where the vocabulary suffices. Raises ValueError for fewer than one
    sequence, a period below 2 (whose repeats are next to what they repeat), and sequences beyond the model's context.
    """
    bos = bos_id(bridge)
    before = int(bos is not None)
    n_pos, n_ctx = before + 2 * period, bridge.cfg.n_ctx
    if period < 2:
        raise ValueError(f"`period` must be at least 2, got {period}: a single token comes again beside itself.")
    if n_pos > n_ctx:
        raise ValueError(
            f"Sequences of {n_pos} tokens ({'BOS and ' if before else ''}twice {period}) exceed the model's context of "
            f"{n_ctx}; lower `period` to {(n_ctx - before) // 2} or less."
        )
    task = RepeatedTokens(d_vocab=bridge.cfg.d_vocab, n_pos=n_pos, shortest=period, longest=period, bos=bos)
    return task.sample(n_sequences, seed=seed).to(next(bridge.parameters()).device)
