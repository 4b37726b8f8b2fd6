"""Attention with hooks at every activation that anyone studies."""

from collections.abc import Sequence
from typing import Literal

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from interp.models.config import Attention as Kind
from interp.models.config import TransformerConfig
from interp.models.hooks import QuietHookPoint, is_hooked

NARROW = 32
"""Width of all heads together below which a product of their own for queries, keys and values each is faster."""


def affine(
    x: Float[Tensor, "*axes in_width"], weight: Float[Tensor, "in_width out_width"], bias: Tensor | None = None
) -> Float[Tensor, "*axes out_width"]:
    """``x W + b``, the bias added by the product's own kernel."""
    if bias is None:
        return x @ weight
    return torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)


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
        self.hook_q = QuietHookPoint()  # [prompt pos head d_head]
        self.hook_k = QuietHookPoint()  # [prompt pos head d_head]
        self.hook_v = QuietHookPoint()  # [prompt pos head d_head]
        self.hook_attn_scores = QuietHookPoint()  # [prompt head query_pos key_pos]
        self.hook_pattern = QuietHookPoint()  # [prompt head query_pos key_pos]
        self.hook_z = QuietHookPoint()  # [prompt pos head d_head]

    def forward(
        self, resid: Float[Tensor, "prompt pos d_model"], n_queries: int, kept: slice | None = None
    ) -> Float[Tensor, "prompt kept_pos d_model"]:
        """What the layer adds to the stream. The last ``n_queries`` positions are queries.

        With ``kept`` (which takes that nobody hooks the layer) the answer covers those positions alone.
        """
        n_keys = resid.shape[1] if self.query_in_context else resid.shape[1] - n_queries
        if kept is not None and not self.causal:
            asking, context = resid[:, kept], resid[:, :n_keys]
            if self.kind == "linear" and not self.has_bias and asking.shape[1] * self.n_heads < n_keys:
                return self._ask(asking, context)
            context = context.contiguous()
            q, k, v = self._project(asking, "Q"), self._project(context, "K"), self._project(context, "V")
        else:
            q, k, v = self._project_at_once(resid)
        if is_hooked(self.hook_q, self.hook_k, self.hook_v):
            # A hook may change what it is given in place, which autograd does not allow of parts of one product.
            q, k, v = q.clone(), k.clone(), v.clone()
        q, k, v = self.hook_q(q), self.hook_k(k), self.hook_v(v)
        if is_hooked(self.hook_attn_scores, self.hook_pattern):
            z = self._attend_in_the_open(q, k, v, n_keys)
        else:
            z = self._attend(q, k[:, :n_keys], v[:, :n_keys])
        if kept is not None and self.causal:  # the mask goes by position, so that every query has to be there
            z = z[:, kept]
        return self._put_out(self.hook_z(z))

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
        q, k, v = self._project_at_once(resid)
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
        return self._put_out(z)

    def _project_at_once(self, resid: Tensor) -> tuple[Float[Tensor, "prompt pos head d_head"], ...]:
        """Queries, keys and values, from one product where that is faster."""
        if self.W_Q.shape[0] * self.W_Q.shape[2] < NARROW:
            return self._project(resid, "Q"), self._project(resid, "K"), self._project(resid, "V")
        weight = torch.cat([self.W_Q.transpose(0, 1), self.W_K.transpose(0, 1), self.W_V.transpose(0, 1)], dim=1)
        bias = torch.cat([self.b_Q, self.b_K, self.b_V]).flatten() if self.has_bias else None
        out = affine(resid, weight.flatten(1), bias)
        return out.view(*resid.shape[:2], *weight.shape[1:]).split(self.n_heads, dim=2)

    def _project(self, resid: Tensor, which: Literal["Q", "K", "V"]) -> Float[Tensor, "prompt pos head d_head"]:
        weight = getattr(self, f"W_{which}").transpose(0, 1)
        bias = getattr(self, f"b_{which}").flatten() if self.has_bias else None
        return affine(resid, weight.flatten(1), bias).view(*resid.shape[:2], *weight.shape[1:])

    def _put_out(self, z: Float[Tensor, "prompt pos head d_head"]) -> Float[Tensor, "prompt pos d_model"]:
        return affine(z.flatten(2), self.W_O.flatten(0, 1), self.b_O if self.has_bias else None)

    def _ask(
        self, asking: Float[Tensor, "prompt query d_model"], context: Float[Tensor, "prompt key d_model"]
    ) -> Float[Tensor, "prompt query d_model"]:
        """Linear attention for few queries. They go to the context, as x W_Q W_K^T, and no key or value is formed."""
        carried = einsum(asking, self.W_Q @ self.W_K.mT, "prompt query d, head d e -> prompt head query e")
        met = carried.flatten(1, 2) @ context.transpose(1, 2) @ context  # [prompt (head query) d_model]
        met = met.view(carried.shape)
        return einsum(met, self.W_V @ self.W_O, "prompt head query d, head d e -> prompt query e")

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
            memory = k.permute(0, 2, 3, 1) @ v.transpose(1, 2)  # [prompt head d_head d_head]
            return (q.transpose(1, 2) @ memory).transpose(1, 2)
        return self._weigh(self._pattern(self._scores(q, k)), v)

    def _attend_in_the_open(self, q: Tensor, k: Tensor, v: Tensor, n_keys: int) -> Tensor:
        """The same attention with scores and pattern in full, [prompt head query_pos key_pos], for their hooks."""
        scores = self.hook_attn_scores(self._scores(q, k, n_keys))
        return self._weigh(self.hook_pattern(self._pattern(scores)), v)

    def _scores(self, q: Tensor, k: Tensor, n_keys: int | None = None) -> Float[Tensor, "prompt head query key"]:
        """Scaled products of queries and keys; keys out of sight get what the pattern turns into 0."""
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)
        if self.scale != 1:
            scores = self.scale * scores
        if not self.causal and n_keys in (None, k.shape[1]):
            return scores
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
        return (pattern @ v.transpose(1, 2)).transpose(1, 2)
