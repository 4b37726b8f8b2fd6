"""Layer norm, MLP and the block that holds them, hooked."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.models.attention import Attention, affine
from interp.models.config import Attention as Kind
from interp.models.config import TransformerConfig
from interp.models.hooks import QuietHookPoint, is_hooked


class LayerNorm(nn.Module):
    """Layer normalisation with learned scale and shift, as in GPT-2 (epsilon 1e-5)."""

    eps = 1e-5

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(d_model))
        self.b = nn.Parameter(torch.zeros(d_model))
        self.hook_scale = QuietHookPoint()  # [prompt pos 1]
        self.hook_normalized = QuietHookPoint()  # [prompt pos d_model]

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Normalise over the last axis."""
        if not is_hooked(self.hook_scale):
            normalized = nn.functional.layer_norm(x, x.shape[-1:], self.w, self.b, self.eps)
            return self.hook_normalized(normalized)
        centred = x - x.mean(-1, keepdim=True)
        scale = self.hook_scale((centred.square().mean(-1, keepdim=True) + self.eps).sqrt())
        return self.hook_normalized(centred / scale * self.w + self.b)


class MLP(nn.Module):
    """Two linear maps with biases, and an activation (or none) between them."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        self.activation = cfg.mlp
        self.W_in = nn.Parameter(torch.empty(cfg.d_model, cfg.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        self.W_out = nn.Parameter(torch.empty(cfg.d_mlp, cfg.d_model))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        self.hook_pre = QuietHookPoint()  # [prompt pos d_mlp]
        self.hook_post = QuietHookPoint()  # [prompt pos d_mlp]

    def forward(self, x: Float[Tensor, "prompt pos d_model"]) -> Float[Tensor, "prompt pos d_model"]:
        """What the MLP adds to the stream."""
        pre = self.hook_pre(affine(x, self.W_in, self.b_in))
        return affine(self.hook_post(self._activate(pre)), self.W_out, self.b_out)

    def _activate(self, pre: Tensor) -> Tensor:
        match self.activation:
            case "relu":
                return pre.relu()
            case "gelu":
                return nn.functional.gelu(pre)
            case "gelu_new":
                return gelu_new(pre)
            case _:
                return pre


def gelu_new(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """GPT-2's approximation of GELU, ``x (1 + tanh u) / 2`` with ``u = sqrt(2 / pi) (x + 0.044715 x^3)``.

    As PyTorch's kernel has it, or, where a compiler makes the kernel, as ``x sigmoid(2 u)``, which is the same: the
    CPU's code for it takes half of the time that its tanh takes.
    """
    if not torch.compiler.is_compiling():
        return nn.functional.gelu(x, approximate="tanh")
    cubed = x * x * x  # a power would turn to float32 under autocast
    return x * torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * cubed))


class FeatureReadIn(nn.Module):
    """Reads (x, y) in as (f(x), y + f(x) . W_start), with features ``f(x) = gelu(x W_in + b_in) W_out + b_out``.

    One step of gradient descent on such tokens (von Oswald et al. 2022, Proposition 1) adjusts the output layer of the
    network ``-W_start . f(x)``: that is the network's initial function, which the query's y entry holds negated. Their
    code reads x and y in together, through a matrix and a residual hidden layer.
    """

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        self.token_y = cfg.layout.y_index(cfg.dim)
        self.y_first = cfg.y_index == 0
        n_features = cfg.width - 1
        n_hidden = cfg.read_in_width or cfg.width
        self.W_in = nn.Parameter(torch.empty(cfg.dim, n_hidden))
        self.b_in = nn.Parameter(torch.zeros(n_hidden))
        self.W_out = nn.Parameter(torch.empty(n_hidden, n_features))
        self.b_out = nn.Parameter(torch.zeros(n_features))
        self.W_start = nn.Parameter(torch.empty(n_features, 1))
        self.hook_pre = QuietHookPoint()  # [prompt pos hidden]
        self.hook_post = QuietHookPoint()  # [prompt pos hidden]
        self.hook_features = QuietHookPoint()  # [prompt pos feature]

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"]) -> Float[Tensor, "prompt pos d_model"]:
        """The embedding of every token."""
        y = tokens[..., self.token_y, None]
        x = tokens[..., 1:] if self.token_y == 0 else tokens[..., :-1]
        hidden = self.hook_post(nn.functional.gelu(self.hook_pre(x @ self.W_in + self.b_in)))
        features = self.hook_features(hidden @ self.W_out + self.b_out)
        y = y + features @ self.W_start
        return torch.cat([y, features] if self.y_first else [features, y], dim=-1)


class Block(nn.Module):
    """Attention, then the MLP if there is one, each added to the residual stream."""

    def __init__(self, cfg: TransformerConfig, kind: Kind) -> None:
        super().__init__()
        self.damping = cfg.damping
        self.clamp = cfg.clamp
        self.ln1: nn.Module = LayerNorm(cfg.d_model) if cfg.layer_norm else nn.Identity()
        self.attn = Attention(cfg, kind)
        self.hook_resid_pre = QuietHookPoint()  # [prompt pos d_model], as all below
        self.hook_attn_out = QuietHookPoint()
        self.hook_resid_mid = QuietHookPoint()
        self.mlp: MLP | None = None
        if cfg.mlp != "none":
            self.ln2: nn.Module = LayerNorm(cfg.d_model) if cfg.layer_norm else nn.Identity()
            self.mlp = MLP(cfg)
            self.hook_mlp_out = QuietHookPoint()
        self.hook_resid_post = QuietHookPoint()

    def forward(
        self, resid: Float[Tensor, "prompt pos d_model"], n_queries: int, kept: slice | None = None
    ) -> Float[Tensor, "prompt kept_pos d_model"]:
        """The stream after the block, at the positions ``kept`` alone if they are given (see `Attention.forward`)."""
        resid = self.hook_resid_pre(resid)
        attn_out = self.hook_attn_out(self.attn(self.ln1(resid), n_queries, kept))
        resid = self.hook_resid_mid(self._add(resid if kept is None else resid[:, kept], attn_out))
        if self.mlp is not None:
            resid = self._add(resid, self.hook_mlp_out(self.mlp(self.ln2(resid))))
        return self.hook_resid_post(resid)

    def forward_alone(
        self, resid: Float[Tensor, "prompt own_pos d_model"], positions: Sequence[int], keys: Tensor, values: Tensor
    ) -> Float[Tensor, "prompt own_pos d_model"]:
        """The stream after the block at ``positions`` alone, as `Attention.forward_alone` has it.

        Hooks on the stream and on attention are not called.
        """
        resid = self._add(resid, self.attn.forward_alone(self.ln1(resid), positions, keys, values))
        return resid if self.mlp is None else self._add(resid, self.mlp(self.ln2(resid)))

    def _add(self, resid: Tensor, update: Tensor) -> Tensor:
        """The stream with an update added, damped and clamped as the config says."""
        resid = resid + (update if self.damping == 1 else self.damping * update)
        return resid if self.clamp is None else resid.clamp(-self.clamp, self.clamp)

    def share_weights_of(self, other: "Block") -> None:
        """Use the other block's parameters in place of this one's; the hooks stay this one's own."""
        for (path, _), parameter in zip(list(self.named_parameters()), other.parameters(), strict=True):
            *modules, name = path.split(".")
            owner = self.get_submodule(".".join(modules))
            setattr(owner, name, parameter)
