"""Frozen dataclasses to JSON and back, checked."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

Record = TypeVar("Record")


def to_record(value: Any) -> Any:
    """A dataclass (or anything made of them) as plain JSON types."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def from_record(kind: type[Record], data: Any, where: str) -> Record:
    """Rebuild a dataclass of the given kind from JSON types.

    Raises ValueError, naming ``where`` the data came from, for missing, unknown or ill-typed fields.
    """
    adapter: TypeAdapter[Record] = TypeAdapter(kind)
    try:
        value = adapter.validate_python(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'value'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ValueError(f"{where} does not describe a valid {kind.__name__}: {problems}.") from None
    unknown = _unknown_fields(data, adapter.dump_python(value, mode="json"))
    if unknown:
        raise ValueError(f"{where} has fields that {kind.__name__} does not know: {', '.join(unknown)}.")
    return value


def _unknown_fields(given: Any, understood: Any, path: str = "") -> list[str]:
    if not isinstance(given, Mapping) or not isinstance(understood, Mapping):
        return []
    unknown = []
    for key, value in given.items():
        name = f"{path}{key}"
        unknown += _unknown_fields(value, understood[key], f"{name}.") if key in understood else [name]
    return unknown
