"""The regression transformer."""

from collections.abc import Sequence
from typing import Literal, Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens import FactoredMatrix

from interp._seeds import make_generator
from interp.models.attention import affine
from interp.models.blocks import Block, FeatureReadIn, LayerNorm
from interp.models.config import TransformerConfig
from interp.models.descent import write_descent
from interp.models.hooks import QuietHookPoint, is_hooked
from interp.models.positions import sinusoids
from interp.models.regressor import RegressionModel
from interp.tasks import Task


class RegressionTransformer(RegressionModel):
    """A transformer that answers in-context regression prompts."""

    cfg: TransformerConfig

    def __init__(self, cfg: TransformerConfig, task: Task, seed: int = 0) -> None:
        super().__init__(cfg, task)
        if cfg.read_in == "mlp":
            self.read_in = FeatureReadIn(cfg)
        if cfg.read_in == "linear":
            self.W_E = nn.Parameter(torch.empty(cfg.d_token, cfg.d_model - cfg.d_pos))
            if cfg.bias:
                self.b_E = nn.Parameter(torch.zeros(cfg.d_model - cfg.d_pos))
        if cfg.positions == "learned":
            self.W_pos = nn.Parameter(torch.empty(cfg.n_ctx, cfg.d_pos or cfg.d_model))
        self.hook_embed = QuietHookPoint()  # [prompt pos d_model]
        if cfg.positions != "none":
            self.hook_pos_embed = QuietHookPoint()  # [prompt pos d_model]
        # The cast says what the list holds; PyTorch's annotations know it as a list of any modules.
        self.blocks = cast(Sequence[Block], nn.ModuleList(Block(cfg, kind) for kind in cfg.attention_kinds))
        if cfg.looped:
            for block in self.blocks[1:]:
                block.share_weights_of(self.blocks[0])
        self.ln_final: nn.Module = LayerNorm(cfg.d_model) if cfg.layer_norm and cfg.final_norm else nn.Identity()
        if cfg.readout == "linear":
            self.W_U = nn.Parameter(torch.empty(cfg.d_model, 1))
            if cfg.bias:
                self.b_U = nn.Parameter(torch.zeros(1))
        self._initialise(seed)
        self.setup()

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"], n_queries: int = 1) -> Float[Tensor, "prompt point"]:
        """Predict y at the predicted points.

        With several queries in a paired layout the columns are those queries, in order. Raises ValueError for tokens
        of another width, or more of them than there are learned positions.
        """
        self._check(tokens, n_queries)
        resid = self.hook_embed(self._embed(tokens))
        if self.cfg.positions != "none":
            resid = resid + self.hook_pos_embed(self._encode_positions(tokens))
        return self.forward_from(resid, 0, n_queries)

    def forward_from(
        self, resid: Float[Tensor, "prompt pos d_model"], layer: int, n_queries: int = 1
    ) -> Float[Tensor, "prompt point"]:
        """Predict from the stream that enters block ``layer`` (0, 1, ...), as `forward` does from layer 0's."""
        predicted = slice(None, None, 2) if self._predicts_every_point else slice(-n_queries, None)
        *inner, last = self.blocks[layer:]
        for block in inner:
            resid = block(resid, n_queries)
        if not is_hooked(last, self.ln_final):
            # The final layer's other outputs matter to nobody unless a hook looks at them.
            return self.decode(last(resid, n_queries, kept=predicted))
        return self._read_out(self.ln_final(last(resid, n_queries))[:, predicted])

    def states_alone(self, tokens: Float[Tensor, "prompt pos d_token"]) -> list[Float[Tensor, "prompt point d_model"]]:
        """The stream of layers 0 to n_layers at the predicted points, each a function of its own token alone.

        The values are those of `forward`, but all that a point's state takes from the tokens before it is held
        constant. In a causal model x_t moves the prediction at point t through the states of its own position only, so
        one backward pass from the sum of all predictions gives the derivative of each by its own x. Hooks on the
        stream and on attention are not called in that pass. Raises ValueError for a model of one predicted point.
        """
        if not self._predicts_every_point:
            raise ValueError("States of every point alone are defined for causal models of interleaved tokens.")
        kept = [f"blocks.{layer}.attn.hook_{name}" for layer in range(self.cfg.n_layers) for name in "kv"]
        with torch.no_grad():
            _, cache = self.run_with_cache(tokens, names_filter=lambda name: name in kept)
        positions = self.prediction_positions(tokens.shape[1])
        resid = self._embed(tokens)
        if self.cfg.positions != "none":
            resid = resid + self._encode_positions(tokens)
        states = [resid[:, positions]]
        for layer, block in enumerate(self.blocks):
            keys, values = (cache[f"blocks.{layer}.attn.hook_{name}"] for name in "kv")
            states.append(block.forward_alone(states[-1], positions, keys, values))
        return states

    def decode(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, " ..."]:
        """The model's own readout, applied to any residual stream: final norm, then the y entry negated, or W_U."""
        return self._read_out(self.ln_final(resid))

    @property
    def asks_in_parallel(self) -> bool:
        """Whether one prompt may carry many queries that do not see each other."""
        return self.cfg.layout.kind == "paired" and not self.cfg.query_in_context and self.cfg.positions == "none"

    @property
    def reads_one_coordinate(self) -> bool:
        """Whether the prediction is one coordinate of the stream, so that every layer holds one in its place."""
        if self.cfg.layer_norm and self.cfg.final_norm:
            return False
        return self.cfg.readout == "negated_y" or int((self.W_U != 0).sum()) == 1

    def untrained_twin(self, seed: int) -> Self:
        """The same architecture with the initial weights of ``seed``, on the same device and in the same precision."""
        parameter = next(self.parameters())
        return type(self)(self.cfg, self.task, seed=seed).to(parameter.device, parameter.dtype)

    @property
    def W_Q(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Query weights of all layers."""
        return self._stack("W_Q")

    @property
    def W_K(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Key weights of all layers."""
        return self._stack("W_K")

    @property
    def W_V(self) -> Float[Tensor, "layer head d_model d_head"]:
        """Value weights of all layers."""
        return self._stack("W_V")

    @property
    def W_O(self) -> Float[Tensor, "layer head d_head d_model"]:
        """Output weights of all layers."""
        return self._stack("W_O")

    @property
    def QK(self) -> FactoredMatrix:
        """``W_Q W_K^T`` [layer head d_model d_model]: how the stream at a query scores the stream at a key."""
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-1, -2))

    @property
    def OV(self) -> FactoredMatrix:
        """``W_V W_O`` [layer head d_model d_model]: what attending to a position writes."""
        return FactoredMatrix(self.W_V, self.W_O)

    @property
    def _predicts_every_point(self) -> bool:
        return self.cfg.layout.kind == "interleaved" and self.cfg.causal

    def _stack(self, name: Literal["W_Q", "W_K", "W_V", "W_O"]) -> Tensor:
        return torch.stack([getattr(block.attn, name) for block in self.blocks])

    def _read_out(self, normalized: Tensor) -> Float[Tensor, " ..."]:
        if self.cfg.readout == "negated_y":
            return -normalized[..., self.cfg.y_index]
        out = (normalized @ self.W_U)[..., 0]
        return out + self.b_U if self.cfg.bias else out

    def _embed(self, tokens: Tensor) -> Float[Tensor, "prompt pos d_model"]:
        """Read tokens in, leaving zeros where concatenated positions will stand."""
        if self.cfg.read_in == "mlp":
            return cast(Tensor, self.read_in(tokens))
        if self.cfg.read_in == "linear":
            tokens = affine(tokens, self.W_E, self.b_E if self.cfg.bias else None)
        elif not self.cfg.d_pos and is_hooked(self.hook_embed, self.blocks[0]):
            return tokens.clone()  # a hook may write into the stream, which is not to reach the caller's tokens
        return nn.functional.pad(tokens, (0, self.cfg.d_pos)) if self.cfg.d_pos else tokens

    def _encode_positions(self, tokens: Tensor) -> Float[Tensor, "prompt pos d_model"]:
        cfg = self.cfg
        width = cfg.d_pos or cfg.d_model
        n_pos = tokens.shape[1]
        learned = cfg.positions == "learned"
        table = self.W_pos[:n_pos] if learned else sinusoids(n_pos, width, tokens.device).to(tokens)
        padded = nn.functional.pad(table, (cfg.d_model - width, 0))
        return padded.expand(tokens.shape[0], -1, -1)

    def _check(self, tokens: Tensor, n_queries: int) -> None:
        super()._check(tokens, n_queries)
        if self.cfg.positions == "learned" and tokens.shape[1] > self.cfg.n_ctx:
            raise ValueError(
                f"The model has {self.cfg.n_ctx} learned positions, the prompts have {tokens.shape[1]} tokens; "
                "use shorter prompts."
            )
        if not self.cfg.query_in_context and tokens.shape[1] <= n_queries and "softmax" in self.cfg.attention_kinds:
            raise ValueError("Softmax attention needs at least one example before the queries; the prompts have none.")

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        cfg = self.cfg
        generator = make_generator(seed, "initial weights")
        for path, parameter in self.named_parameters():
            name = path.rsplit(".", 1)[-1]
            if not name.startswith("W_"):
                continue  # biases start at 0, norms at 1
            if cfg.init == "gpt2":
                nn.init.normal_(parameter, std=0.02, generator=generator)
                continue
            depth = cfg.n_layers if path.startswith("blocks.") else 1
            std = (cfg.init_variance / (depth * _fan_in(name, parameter))) ** 0.5
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std, generator=generator)
        if cfg.descent_lr is not None:
            for block in self.blocks:
                write_descent(block.attn, cfg, cfg.descent_lr)


def _fan_in(name: str, weight: Tensor) -> int:
    """Inputs that one output of a weight sums over; an embedding (of positions) looks one up."""
    if name == "W_pos":
        return 1
    return weight.shape[0] * weight.shape[1] if name == "W_O" else weight.shape[-2]
