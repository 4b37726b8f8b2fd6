"""Attention with hooks at every activation that anyone studies."""

from collections.abc import Sequence
from typing import Literal

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from interp.models.config import Attention as Kind
from interp.models.config import TransformerConfig


def is_hooked(module: nn.Module) -> bool:
    """Whether anyone looks at the module or at a part of it, through TransformerLens's hooks or PyTorch's own."""
    return any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in module.modules()
    )


class Attention(nn.Module):
    """Multi-head attention: linear (pattern = scores), ReLU (pattern = max(scores, 0)) or softmax.

    Weights are stored as TransformerLens stores them: W_Q, W_K, W_V [head d_model d_head], W_O [head d_head d_model].
    """

    def __init__(self, cfg: TransformerConfig, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.n_heads = cfg.n_heads
        self.causal = cfg.causal
        self.query_in_context = cfg.query_in_context
        self.scale = cfg.d_head**-0.5 if kind == "softmax" else 1.0
        self.W_Q = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_model, cfg.d_head))
        self.W_K = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_model, cfg.d_head))
        self.W_V = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_model, cfg.d_head))
        self.W_O = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_head, cfg.d_model))
        if cfg.bias:
            self.b_Q = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
            self.b_K = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
            self.b_V = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
            self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        self.has_bias = cfg.bias
        self.hook_q = HookPoint()  # [prompt pos head d_head]
        self.hook_k = HookPoint()  # [prompt pos head d_head]
        self.hook_v = HookPoint()  # [prompt pos head d_head]
        self.hook_attn_scores = HookPoint()  # [prompt head query_pos key_pos]
        self.hook_pattern = HookPoint()  # [prompt head query_pos key_pos]
        self.hook_z = HookPoint()  # [prompt pos head d_head]

    def forward(
        self, resid: Float[Tensor, "prompt pos d_model"], n_queries: int, only_queries: bool = False
    ) -> Float[Tensor, "prompt kept_pos d_model"]:
        """What the layer adds to the stream. The last ``n_queries`` positions are queries.

        With ``only_queries`` (no causal mask, no hooks) the answer covers those positions alone.
        """
        q = self.hook_q(self._project(resid[:, -n_queries:] if only_queries else resid, "Q"))
        k = self.hook_k(self._project(resid, "K"))
        v = self.hook_v(self._project(resid, "V"))
        n_keys = resid.shape[1] if self.query_in_context else resid.shape[1] - n_queries
        if is_hooked(self.hook_attn_scores) or is_hooked(self.hook_pattern):
            z = self._attend_in_the_open(q, k, v, n_keys)
        else:
            z = self._attend(q, k[:, :n_keys], v[:, :n_keys])
        out = self.hook_z(z).flatten(2) @ self.W_O.flatten(0, 1)
        return out + self.b_O if self.has_bias else out

    def forward_alone(
        self,
        resid: Float[Tensor, "prompt own_pos d_model"],
        positions: Sequence[int],
        keys: Float[Tensor, "prompt pos head d_head"],
        values: Float[Tensor, "prompt pos head d_head"],
    ) -> Float[Tensor, "prompt own_pos d_model"]:
        """What the layer adds at ``positions``, each attending to given keys and values before it and to itself.

        For causal models: with the layer's own keys and values it is what `forward` adds there. No hook is called.
        """
        q, k, v = (self._project(resid, which) for which in ("Q", "K", "V"))
        before = self.scale * einsum(q, keys, "prompt own head i, prompt key head i -> prompt head own key")
        own_position = torch.tensor(positions, device=resid.device)
        out_of_sight = float("-inf") if self.kind == "softmax" else 0.0
        visible = torch.arange(keys.shape[1], device=resid.device) < own_position[:, None]
        before = before.masked_fill(~visible, out_of_sight)
        own = self.scale * einsum(q, k, "prompt own head i, prompt own head i -> prompt head own")
        if not self.query_in_context:  # then the last position is a query, and no key, not even its own
            own = own.masked_fill(own_position == keys.shape[1] - 1, out_of_sight)
        pattern = self._pattern(torch.cat([before, own[..., None]], dim=-1))
        z = self._weigh(pattern[..., :-1], values)
        z = z + einsum(pattern[..., -1], v, "prompt head own, prompt own head i -> prompt own head i")
        out = z.flatten(2) @ self.W_O.flatten(0, 1)
        return out + self.b_O if self.has_bias else out

    def _project(self, resid: Tensor, which: Literal["Q", "K", "V"]) -> Float[Tensor, "prompt pos head d_head"]:
        weight = rearrange(getattr(self, f"W_{which}"), "head d_model d_head -> d_model (head d_head)")
        out = rearrange(resid @ weight, "prompt pos (head d_head) -> prompt pos head d_head", head=self.n_heads)
        return out + getattr(self, f"b_{which}") if self.has_bias else out

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "prompt pos head d_head"]:
        """Attention by the cheapest route, for when nobody looks at scores or pattern."""
        if self.kind == "softmax":
            q, k, v = (part.transpose(1, 2) for part in (q, k, v))
            n_pos, n_keys = q.shape[-2], k.shape[-2]
            mask = None
            if self.causal and n_keys < n_pos:
                mask = torch.ones(n_pos, n_keys, dtype=torch.bool, device=q.device).tril()
            z = nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=self.causal and mask is None, scale=self.scale
            )
            return z.transpose(1, 2)
        if self.kind == "linear" and not self.causal:
            # Without a mask or a nonlinearity the products associate: keys meet values first, whatever the length.
            memory = einsum(k, v, "prompt key head i, prompt key head j -> prompt head i j")
            return einsum(q, memory, "prompt pos head i, prompt head i j -> prompt pos head j")
        return self._weigh(self._pattern(self._scores(q, k)), v)

    def _attend_in_the_open(self, q: Tensor, k: Tensor, v: Tensor, n_keys: int) -> Tensor:
        """The same attention with scores and pattern in full, [prompt head query_pos key_pos], for their hooks."""
        scores = self.hook_attn_scores(self._scores(q, k, n_keys))
        return self._weigh(self.hook_pattern(self._pattern(scores)), v)

    def _scores(self, q: Tensor, k: Tensor, n_keys: int | None = None) -> Float[Tensor, "prompt head query key"]:
        """Scaled products of queries and keys; keys out of sight get what the pattern turns into 0."""
        scores = self.scale * einsum(q, k, "prompt query head i, prompt key head i -> prompt head query key")
        position = torch.arange(k.shape[1], device=k.device)
        visible = (position < (k.shape[1] if n_keys is None else n_keys)).expand(q.shape[1], -1)
        if self.causal:
            visible = visible & (position <= torch.arange(q.shape[1], device=q.device)[:, None])
        return scores.masked_fill(~visible, float("-inf") if self.kind == "softmax" else 0.0)

    def _pattern(self, scores: Tensor) -> Tensor:
        if self.kind == "softmax":
            return scores.softmax(dim=-1)
        return scores.relu() if self.kind == "relu" else scores

    def _weigh(self, pattern: Tensor, v: Tensor) -> Float[Tensor, "prompt query head d_head"]:
        return einsum(pattern, v, "prompt head query key, prompt key head i -> prompt query head i")
