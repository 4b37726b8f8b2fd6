"""What an analysis asks of a model."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from interp.tasks import Prompts, Task


@runtime_checkable
class RegressorConfig(Protocol):
    """The sizes that analyses read."""

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        ...

    @property
    def n_heads(self) -> int:
        """Heads of each block."""
        ...

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        ...


@runtime_checkable
class HookedRegressor(Protocol):
    """Any hooked model of in-context regression: a researcher's own HookedRootModule fits without subclassing ours.

    Its hooks bear the canonical names (at least ``blocks.{l}.hook_resid_pre`` and ``blocks.{l}.hook_resid_post``).
    Two methods are optional: ``decode(resid [... d_model]) -> [...]`` makes a native readout of every layer possible,
    and ``untrained_twin(seed)`` provides the control of random weights.
    """

    @property
    def cfg(self) -> RegressorConfig:
        """Sizes."""
        ...

    @property
    def task(self) -> Task:
        """The distribution over prompts that the model was trained on."""
        ...

    @property
    def predicted_points(self) -> Sequence[int]:
        """Which points the columns of the model's answer are."""
        ...

    def tokens(self, prompts: Prompts) -> Float[Tensor, "prompt pos d_token"]:
        """Lay prompts out as the model's input."""
        ...

    def __call__(self, tokens: Float[Tensor, "prompt pos d_token"]) -> Float[Tensor, "prompt point"]:
        """Predict y at the predicted points."""
        ...

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """Run with temporary hooks, as HookedRootModule does."""
        ...

    def run_with_cache(self, *args: Any, **kwargs: Any) -> Any:
        """Run and keep activations, as HookedRootModule does."""
        ...

    def hooks(self, *args: Any, **kwargs: Any) -> Any:
        """Context manager of temporary hooks, as HookedRootModule's."""
        ...


def require_regressor(model: object) -> None:
    """Raise ValueError for what is no model of in-context regression: a language model, say."""
    missing = [name for name in ("task", "predicted_points", "tokens") if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"{type(model).__name__} is no model of in-context regression: it has no {', '.join(missing)} (see "
            "interp.models.HookedRegressor). Of a language model it is the heads that can be studied here: "
            "interp.attribution.score_heads, interp.report.build_language."
        )
