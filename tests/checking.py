"""The run-time type checker that the suite runs under."""

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

# jaxtyping decorates methods one by one, out of sight of their class, where beartype cannot tell what Self is.
typechecked = beartype(conf=BeartypeConf(hint_overrides=FrozenDict({Self: Any})))
