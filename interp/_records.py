"""Frozen dataclasses to JSON and back, checked."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, overload

from pydantic import TypeAdapter, ValidationError

Record = TypeVar("Record")


def to_record(value: Any) -> Any:
    """A dataclass (or anything made of them) as plain JSON types."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


@overload
def from_record(kind: type[Record], data: Any, where: str) -> Record: ...
@overload
def from_record(kind: Any, data: Any, where: str) -> Any: ...  # a union is no type to a type checker
def from_record(kind: Any, data: Any, where: str) -> Any:
    """Rebuild a dataclass of the given kind from JSON types.

    Of a union of dataclasses, the one is meant whose field ``kind`` has the data's value as its default. Raises
    ValueError, naming ``where`` the data came from, for missing, unknown or ill-typed fields.
    """
    kind = _resolve(kind, data, where)
    adapter = TypeAdapter(kind)
    try:
        value = adapter.validate_python(data)
    except ValidationError as error:
        problems = "; ".join(_problem(**problem) for problem in error.errors(include_url=False, include_context=False))
        raise ValueError(f"{where} does not describe a valid {kind.__name__}: {problems}.") from None
    unknown = _unknown_fields(data, adapter.dump_python(value, mode="json"))
    if unknown:
        raise ValueError(f"{where} has fields that {kind.__name__} does not know: {', '.join(unknown)}.")
    return value


def _problem(*, loc: tuple[int | str, ...], msg: str, **_: Any) -> str:
    """What is wrong with a field, or with the whole, as a part of a sentence."""
    said = msg.removeprefix("Value error, ").removesuffix(".")
    return f"{'.'.join(map(str, loc))}: {said}" if loc else said


def _resolve(kind: Any, data: Any, where: str) -> Any:
    """The member of a union that the data name; a kind that is no union, itself."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, UnionType):
        return kind
    members = {member.kind: member for member in get_args(kind)}
    given = data.get("kind") if isinstance(data, Mapping) else None
    if isinstance(given, str) and given in members:
        return members[given]
    names = " or ".join(repr(name) for name in members)
    came = f"{given!r}" if given is not None else "none"
    raise ValueError(f"{where} needs a field 'kind' that says what it describes, {names}; got {came}.")


def _unknown_fields(given: Any, understood: Any, path: str = "") -> list[str]:
    if not isinstance(given, Mapping) or not isinstance(understood, Mapping):
        return []
    unknown = []
    for key, value in given.items():
        name = f"{path}{key}"
        unknown += _unknown_fields(value, understood[key], f"{name}.") if key in understood else [name]
    return unknown
