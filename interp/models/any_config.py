"""The shapes of model that a run folder can hold."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from interp.models.config import TransformerConfig
from interp.models.lstm_config import LSTMConfig
from interp.models.token_config import TokenModelConfig


def with_kind(data: Any) -> Any:
    """A config read from JSON, of a transformer where it does not say: only transformers were written without."""
    return {"kind": "transformer", **data} if isinstance(data, Mapping) else data


RegressionConfig = Annotated[TransformerConfig | LSTMConfig, Field(discriminator="kind"), BeforeValidator(with_kind)]
"""Every config of a model of in-context regression."""

AnyModelConfig = Annotated[
    TransformerConfig | LSTMConfig | TokenModelConfig, Field(discriminator="kind"), BeforeValidator(with_kind)
]
"""Every config of ours, told apart by its field ``kind`` when it is read back from JSON."""
