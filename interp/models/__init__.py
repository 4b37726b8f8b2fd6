"""Hooked transformers for in-context regression: trained ones, built ones, and how to keep them."""

from typing import TYPE_CHECKING

from interp._lazy import lazy_attributes

if TYPE_CHECKING:
    from interp.models.config import TransformerConfig
    from interp.models.constructions import CONSTRUCTIONS, build_construction, descent_twin
    from interp.models.folders import ModelInfo, load_folder, save_folder
    from interp.models.garg import import_garg
    from interp.models.loading import load
    from interp.models.lstm import RegressionLSTM
    from interp.models.lstm_config import LSTMConfig
    from interp.models.protocol import HookedRegressor
    from interp.models.regressor import RegressionModel
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
    "TransformerConfig",
    "ZooEntry",
    "build_construction",
    "descent_twin",
    "import_garg",
    "load",
    "load_folder",
    "save_folder",
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
        "TransformerConfig": "interp.models.config",
        "ZooEntry": "interp.models.zoo",
        "build_construction": "interp.models.constructions",
        "descent_twin": "interp.models.constructions",
        "import_garg": "interp.models.garg",
        "load": "interp.models.loading",
        "load_folder": "interp.models.folders",
        "save_folder": "interp.models.folders",
        "zoo_entries": "interp.models.zoo",
    },
)
