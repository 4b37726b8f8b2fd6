"""Hooked transformers for in-context regression and language models: trained ones, built ones, and how to keep them."""

from typing import TYPE_CHECKING

from interp._lazy import lazy_attributes

if TYPE_CHECKING:
    from interp.models.config import TransformerConfig
    from interp.models.constructions import CONSTRUCTIONS, build_construction, descent_twin
    from interp.models.folders import ModelInfo, load_folder, save_folder
    from interp.models.garg import import_garg
    from interp.models.language import build_language_model, evaluation_sequences
    from interp.models.language_checks import check_language_model
    from interp.models.language_twins import untrained_language_twin
    from interp.models.loading import load, load_language, load_regression
    from interp.models.lstm import RegressionLSTM
    from interp.models.lstm_config import LSTMConfig
    from interp.models.protocol import HookedRegressor
    from interp.models.regressor import RegressionModel
    from interp.models.token_config import TokenModelConfig
    from interp.models.transformer import RegressionTransformer
    from interp.models.zoo import ZooEntry, zoo_entries

__all__ = [
    "CONSTRUCTIONS",
    "HookedRegressor",
    "LSTMConfig",
    "ModelInfo",
    "RegressionLSTM",
    "RegressionModel",
    "RegressionTransformer",
    "TokenModelConfig",
    "TransformerConfig",
    "ZooEntry",
    "build_construction",
    "build_language_model",
    "check_language_model",
    "descent_twin",
    "evaluation_sequences",
    "import_garg",
    "load",
    "load_folder",
    "load_language",
    "load_regression",
    "save_folder",
    "untrained_language_twin",
    "zoo_entries",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "CONSTRUCTIONS": "interp.models.constructions",
        "HookedRegressor": "interp.models.protocol",
        "LSTMConfig": "interp.models.lstm_config",
        "ModelInfo": "interp.models.folders",
        "RegressionLSTM": "interp.models.lstm",
        "RegressionModel": "interp.models.regressor",
        "RegressionTransformer": "interp.models.transformer",
        "TokenModelConfig": "interp.models.token_config",
        "TransformerConfig": "interp.models.config",
        "ZooEntry": "interp.models.zoo",
        "build_construction": "interp.models.constructions",
        "build_language_model": "interp.models.language",
        "check_language_model": "interp.models.language_checks",
        "descent_twin": "interp.models.constructions",
        "evaluation_sequences": "interp.models.language",
        "import_garg": "interp.models.garg",
        "load": "interp.models.loading",
        "load_folder": "interp.models.folders",
        "load_language": "interp.models.loading",
        "load_regression": "interp.models.loading",
        "save_folder": "interp.models.folders",
        "untrained_language_twin": "interp.models.language_twins",
        "zoo_entries": "interp.models.zoo",
    },
)
