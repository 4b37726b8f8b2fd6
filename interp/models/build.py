"""From a config to a model."""

from interp.models.any_model import AnyModel
from interp.models.config import TransformerConfig
from interp.models.lstm import RegressionLSTM
from interp.models.lstm_config import LSTMConfig
from interp.models.token_config import TokenModelConfig
from interp.models.transformer import RegressionTransformer
from interp.tasks import RepeatedTokens, Task


def build_model(
    cfg: TransformerConfig | LSTMConfig | TokenModelConfig, task: Task | RepeatedTokens, seed: int = 0
) -> AnyModel:
    """An untrained model of the given shape.

    Raises ValueError where config and task disagree on dim or, of a language model, on the tokens.
    """
    if isinstance(cfg, TokenModelConfig) or isinstance(task, RepeatedTokens):
        if not (isinstance(cfg, TokenModelConfig) and isinstance(task, RepeatedTokens)):
            raise ValueError(
                f"A model of kind {cfg.kind!r} does not read {type(task).__name__}; those of kind 'tokens' read "
                "RepeatedTokens, and no others do."
            )
        from interp.models.language import build_language_model  # takes seconds to import

        return build_language_model(cfg, task, seed=seed)
    if isinstance(cfg, LSTMConfig):
        return RegressionLSTM(cfg, task, seed=seed)
    return RegressionTransformer(cfg, task, seed=seed)
