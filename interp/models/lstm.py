"""The regression LSTM: the control whose layers are known to do something else (Fu et al. 2023, section 5.5)."""

from collections.abc import Sequence
from typing import Self, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp._seeds import make_generator
from interp.models.hooks import QuietHookPoint
from interp.models.lstm_config import LSTMConfig
from interp.models.regressor import RegressionModel
from interp.tasks import Task


class LSTMBlock(nn.Module):
    """One layer: a recurrence over the positions of what the layer below hands up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hook_resid_pre = QuietHookPoint()  # [prompt pos d_model]
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.hook_resid_post = QuietHookPoint()  # [prompt pos d_model]

    def forward(self, below: Float[Tensor, "prompt pos d_model"]) -> Float[Tensor, "prompt pos d_model"]:
        """The hidden state at every position, which takes the place of a residual stream."""
        hidden, _ = self.lstm(self.hook_resid_pre(below))
        return self.hook_resid_post(hidden)


class RegressionLSTM(RegressionModel):
    """A stacked LSTM between a linear read-in and a linear readout, predicting at every x.

    Each layer reads the hidden states of the one below; nothing skips a layer. Initial weights are uniform within
    one over the root of the width, as PyTorch draws them.
    """

    cfg: LSTMConfig

    def __init__(self, cfg: LSTMConfig, task: Task, seed: int = 0) -> None:
        super().__init__(cfg, task)
        self.W_E = nn.Parameter(torch.empty(cfg.d_token, cfg.width))
        self.b_E = nn.Parameter(torch.empty(cfg.width))
        self.hook_embed = QuietHookPoint()  # [prompt pos d_model]
        self.blocks = cast(Sequence[LSTMBlock], nn.ModuleList(LSTMBlock(cfg.width) for _ in range(cfg.n_layers)))
        self.W_U = nn.Parameter(torch.empty(cfg.width, 1))
        self.b_U = nn.Parameter(torch.empty(1))
        generator = make_generator(seed, "initial weights")
        for _, parameter in self.named_parameters():
            nn.init.uniform_(parameter, -(cfg.width**-0.5), cfg.width**-0.5, generator=generator)
        self.setup()

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"], n_queries: int = 1) -> Float[Tensor, "prompt point"]:
        """Predict y at every x. Raises ValueError for tokens of another width and for several queries."""
        self._check(tokens, n_queries)
        state = self.hook_embed(tokens @ self.W_E + self.b_E)
        for block in self.blocks:
            state = block(state)
        return self.decode(state[:, self.prediction_positions(tokens.shape[1])])

    def decode(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, " ..."]:
        """The readout of the last layer, applied to any layer's state."""
        return (resid @ self.W_U)[..., 0] + self.b_U

    def untrained_twin(self, seed: int) -> Self:
        """The same architecture with the initial weights of ``seed``, on the same device and in the same precision."""
        parameter = next(self.parameters())
        return type(self)(self.cfg, self.task, seed=seed).to(parameter.device, parameter.dtype)
