"""Models of either sort."""

from typing import Any

import torch

from interp.models.regressor import RegressionModel

AnyModel = RegressionModel | Any
"""A model of in-context regression, or a language model: a `TransformerBridge` of TransformerLens.

A bridge counts as Any. So does every class of TransformerLens for type checkers, and importing this one takes seconds,
which what works on regression alone need not spend.
"""


def on_device(model: AnyModel, device: torch.device | str) -> AnyModel:
    """The model, moved to a device."""
    if isinstance(model, RegressionModel):
        return model.to(device)
    return model.to(device, print_details=False)
