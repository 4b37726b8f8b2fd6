"""From a config to a model."""

from interp.models.config import TransformerConfig
from interp.models.lstm import RegressionLSTM
from interp.models.lstm_config import LSTMConfig
from interp.models.regressor import RegressionModel
from interp.models.transformer import RegressionTransformer
from interp.tasks import Task


def build_model(cfg: TransformerConfig | LSTMConfig, task: Task, seed: int = 0) -> RegressionModel:
    """An untrained model of the given shape. Raises ValueError where config and task disagree on dim."""
    if isinstance(cfg, LSTMConfig):
        return RegressionLSTM(cfg, task, seed=seed)
    return RegressionTransformer(cfg, task, seed=seed)
