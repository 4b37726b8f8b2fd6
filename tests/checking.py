"""The run-time type checker that the suite runs under."""

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

typechecked = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int is a float to every static checker
        # jaxtyping decorates methods one by one, out of sight of their class, where nobody can tell what Self is.
        hint_overrides=FrozenDict({Self: Any}),
    )
)
