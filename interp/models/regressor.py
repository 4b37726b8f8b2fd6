"""What every model of ours shares: how it is asked, what it answers, where it comes from."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache, HookedRootModule

from interp.models.config import TransformerConfig
from interp.models.lstm_config import LSTMConfig
from interp.tasks import Prompts, Task

if TYPE_CHECKING:
    from interp.models.folders import ModelInfo


class RegressionModel(HookedRootModule):
    """A model that answers in-context regression prompts, hooked with TransformerLens's canonical names.

    Its initial weights are a function of ``cfg`` and ``seed``. Layer l of the residual stream, or what takes its place,
    is ``blocks.{l - 1}.hook_resid_post``; layer 0, the embedding, is ``blocks.0.hook_resid_pre``. Raises ValueError
    where config and task disagree on dim.
    """

    cfg: TransformerConfig | LSTMConfig
    task: Task
    info: "ModelInfo | None"
    """Where the model comes from; None until it has an origin."""

    def __init__(self, cfg: TransformerConfig | LSTMConfig, task: Task) -> None:
        super().__init__()
        if cfg.dim != task.dim:
            raise ValueError(f"The model reads inputs of dim {cfg.dim}, the task draws them of dim {task.dim}.")
        self.cfg = cfg
        self.task = task
        self.info = None

    @abstractmethod
    def forward(self, tokens: Float[Tensor, "prompt pos d_token"], n_queries: int = 1) -> Float[Tensor, "prompt point"]:
        """Predict y at the predicted points.

        With several queries in a paired layout the columns are those queries, in order. Raises ValueError for tokens
        that the model cannot read.
        """

    @abstractmethod
    def decode(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, " ..."]:
        """The model's own readout, applied to the state of any layer."""

    @abstractmethod
    def untrained_twin(self, seed: int) -> Self:
        """The same architecture with the initial weights of ``seed``, on the same device and in the same precision."""

    def tokens(self, prompts: Prompts) -> Float[Tensor, "prompt pos d_token"]:
        """Lay prompts out as this model reads them, on its device and in its precision."""
        parameter = next(self.parameters())
        return self.cfg.layout.tokens(prompts.to(parameter.device, parameter.dtype))

    @property
    def predicted_points(self) -> tuple[int, ...]:
        """Every point for causal interleaved models, the query alone for the others."""
        last = self.task.n_points - 1
        return tuple(range(last + 1)) if self._predicts_every_point else (last,)

    def prediction_positions(self, n_pos: int, n_queries: int = 1) -> list[int]:
        """Positions that the predictions are read from, in prompts of ``n_pos`` tokens."""
        if self._predicts_every_point:
            return list(range(0, n_pos, 2))
        return list(range(n_pos - n_queries, n_pos))

    @property
    def asks_in_parallel(self) -> bool:
        """Whether one prompt may carry many queries that do not see each other."""
        return False

    @property
    def reads_one_coordinate(self) -> bool:
        """Whether the prediction is one coordinate of the stream, so that every layer holds one in its place."""
        return False

    @property
    def _predicts_every_point(self) -> bool:
        return True

    def run_with_cache(self, *args: Any, return_cache_object: bool = True, **kwargs: Any) -> Any:
        """As HookedRootModule's, with an `ActivationCache` (or a plain dict if ``return_cache_object`` is False)."""
        out, cache = super().run_with_cache(*args, **kwargs)
        return out, ActivationCache(cache, self) if return_cache_object else cache

    def _check(self, tokens: Tensor, n_queries: int) -> None:
        """Raise ValueError for tokens of another width, and for several queries where they would see each other."""
        if tokens.ndim != 3 or tokens.shape[-1] != self.cfg.d_token:
            raise ValueError(
                f"Expected tokens of shape [prompt pos {self.cfg.d_token}], got {tuple(tokens.shape)}. "
                "Make them with model.tokens(prompts)."
            )
        if n_queries != 1 and not self.asks_in_parallel:
            raise ValueError(
                "This model takes one query per prompt: its queries would see or displace each other. "
                "Use prompts.one_query_each()."
            )
