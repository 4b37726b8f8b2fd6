"""The GPT-2-shaped network as one would write it down in plain PyTorch modules, without hook points."""

from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.models.attention import Attention
from interp.models.blocks import Block
from interp.models.config import TransformerConfig
from interp.models.transformer import RegressionTransformer


class PlainBlock(nn.Module):
    """Causal attention, its queries, keys and values from one matrix, and an MLP, each behind a layer norm."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        self.n_heads = cfg.n_heads
        self.ln1 = nn.LayerNorm(cfg.d_model)
        self.qkv = nn.Linear(cfg.d_model, 3 * cfg.d_model)
        self.out = nn.Linear(cfg.d_model, cfg.d_model)
        self.ln2 = nn.LayerNorm(cfg.d_model)
        self.mlp = nn.Sequential(
            nn.Linear(cfg.d_model, cfg.d_mlp), nn.GELU(approximate="tanh"), nn.Linear(cfg.d_mlp, cfg.d_model)
        )

    def forward(self, resid: Float[Tensor, "prompt pos d_model"]) -> Float[Tensor, "prompt pos d_model"]:
        """The stream after the block."""
        n_prompts, n_pos, width = resid.shape
        q, k, v = (
            part.view(n_prompts, n_pos, self.n_heads, -1).transpose(1, 2)
            for part in self.qkv(self.ln1(resid)).split(width, dim=2)
        )
        z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        resid = resid + self.out(z.transpose(1, 2).reshape(n_prompts, n_pos, width))
        return resid + self.mlp(self.ln2(resid))


class PlainTransformer(nn.Module):
    """Predicts y at every x of interleaved prompts, as a model of the recipes ``garg-*`` does."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        self.read_in = nn.Linear(cfg.d_token, cfg.d_model)
        self.positions = nn.Parameter(torch.empty(cfg.n_ctx, cfg.d_model))
        self.blocks = nn.ModuleList(PlainBlock(cfg) for _ in range(cfg.n_layers))
        self.ln_final = nn.LayerNorm(cfg.d_model)
        self.read_out = nn.Linear(cfg.d_model, 1)

    @classmethod
    def like(cls, model: RegressionTransformer) -> Self:
        """With the weights of a model of that shape, on its device and in its precision."""
        parameter = next(model.parameters())
        plain = cls(model.cfg).to(parameter.device, parameter.dtype)
        plain.load_state_dict(plain_weights(model))
        return plain

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"]) -> Float[Tensor, "prompt point"]:
        """Predictions at every x."""
        resid = self.read_in(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            resid = block(resid)
        return self.read_out(self.ln_final(resid)[:, ::2])[..., 0]


def plain_weights(model: RegressionTransformer, *, gradients: bool = False) -> dict[str, Tensor]:
    """The model's weights, or their gradients, by the names and in the shapes that `PlainTransformer` has them."""

    def of(owner: nn.Module | None, name: str) -> Tensor:
        parameter = getattr(owner, name)
        return (parameter.grad if gradients else parameter).detach()

    def norm(name: str, layer: nn.Module) -> dict[str, Tensor]:
        return {f"{name}.weight": of(layer, "w"), f"{name}.bias": of(layer, "b")}

    def attention(name: str, attn: Attention) -> dict[str, Tensor]:
        return {
            f"{name}.qkv.weight": torch.cat([of(attn, f"W_{which}").transpose(1, 2).flatten(0, 1) for which in "QKV"]),
            f"{name}.qkv.bias": torch.cat([of(attn, f"b_{which}").flatten() for which in "QKV"]),
            f"{name}.out.weight": of(attn, "W_O").flatten(0, 1).T,
            f"{name}.out.bias": of(attn, "b_O"),
        }

    def mlp(name: str, layer: nn.Module | None) -> dict[str, Tensor]:
        return {
            f"{name}.0.weight": of(layer, "W_in").T,
            f"{name}.0.bias": of(layer, "b_in"),
            f"{name}.2.weight": of(layer, "W_out").T,
            f"{name}.2.bias": of(layer, "b_out"),
        }

    def block(name: str, layer: Block) -> dict[str, Tensor]:
        parts = norm(f"{name}.ln1", layer.ln1) | norm(f"{name}.ln2", layer.ln2)
        return parts | attention(name, layer.attn) | mlp(f"{name}.mlp", layer.mlp)

    weights = {
        "read_in.weight": of(model, "W_E").T,
        "read_in.bias": of(model, "b_E"),
        "positions": of(model, "W_pos"),
        "read_out.weight": of(model, "W_U").T,
        "read_out.bias": of(model, "b_U"),
    }
    for index, layer in enumerate(model.blocks):
        weights |= block(f"blocks.{index}", layer)
    return weights | norm("ln_final", model.ln_final)
