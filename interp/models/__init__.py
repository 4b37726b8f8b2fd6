"""Hooked transformers for in-context regression: trained ones, built ones, and how to keep them."""

from typing import TYPE_CHECKING

from interp._lazy import lazy_attributes

if TYPE_CHECKING:
    from interp.models.config import TransformerConfig
    from interp.models.constructions import CONSTRUCTIONS, build_construction, descent_twin
    from interp.models.folders import ModelInfo, load_folder, save_folder
    from interp.models.loading import load
    from interp.models.protocol import HookedRegressor
    from interp.models.transformer import RegressionTransformer
    from interp.models.zoo import ZooEntry, zoo_entries

__all__ = [
    "CONSTRUCTIONS",
    "HookedRegressor",
    "ModelInfo",
    "RegressionTransformer",
    "TransformerConfig",
    "ZooEntry",
    "build_construction",
    "descent_twin",
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
        "ModelInfo": "interp.models.folders",
        "RegressionTransformer": "interp.models.transformer",
        "TransformerConfig": "interp.models.config",
        "ZooEntry": "interp.models.zoo",
        "build_construction": "interp.models.constructions",
        "descent_twin": "interp.models.constructions",
        "load": "interp.models.loading",
        "load_folder": "interp.models.folders",
        "save_folder": "interp.models.folders",
        "zoo_entries": "interp.models.zoo",
    },
)
