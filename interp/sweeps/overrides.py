"""Recipe fields by dotted name: reading them from tables, and putting them into a recipe."""

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from interp._names import unknown_name
from interp._records import from_record, to_record
from interp.training.recipe import AnyRecipe

NONE = "none"
"""How a file without nulls writes None."""


def flat_fields(given: Mapping[str, Any], recipe: AnyRecipe, where: str) -> dict[str, Any]:
    """The values of a table by dotted field name, whether it nests (``model.n_layers``) or quotes the whole name.

    A table with a field ``kind``, or where the recipe has none, is one value. Raises ValueError, naming ``where`` the
    table stands, for fields that the recipe does not have and for a field that is given twice.
    """
    fields: dict[str, Any] = {}
    for name, value in _leaves(given, to_record(recipe), ""):
        _check_name(name, to_record(recipe), where)
        if name in fields:
            raise ValueError(f"{where} gives the field {name!r} twice; give it once.")
        fields[name] = value
    return fields


def with_fields(recipe: AnyRecipe, fields: Mapping[str, Any], where: str) -> AnyRecipe:
    """The recipe with other values of some fields, by dotted name; the text ``none`` is None where a field admits it.

    Raises ValueError, naming ``where`` the values come from, for values of another type, numbers written as text
    included, and for recipes that contradict themselves.
    """
    record = to_record(recipe)
    meant = {name: None if value == NONE and _admits_none(recipe, name) else value for name, value in fields.items()}
    for name, value in meant.items():
        if not _is_plain(value):
            raise ValueError(
                f"{where}: the field {name!r} takes text, a finite number, true or false, a list or a table of these; "
                f"got {value}."
            )
        *parents, last = name.split(".")
        place = record
        for parent in parents:
            place = place[parent]
            if not isinstance(place, dict):
                raise ValueError(f"{where}: {name!r} lies in {parent!r}, which is {_show(place)}; give it as a table.")
        place[last] = deepcopy(value)
    changed: AnyRecipe = from_record(type(recipe), record, where)
    understood = to_record(changed)
    for name, value in meant.items():
        if not agree(value, field_of(understood, name)):
            read = field_of(understood, name)
            raise ValueError(f"{where}: the field {name!r} takes {_show(read)} rather than {_show(value)}; write that.")
    return changed


def field_of(record: Mapping[str, Any], name: str) -> Any:
    """The value at a dotted name of a recipe's record; None where one of its parents is none."""
    value: Any = record
    for part in name.split("."):
        value = None if value is None else value.get(part)
    return value


def _leaves(given: Mapping[str, Any], record: Any, path: str) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        inner = _step_into(record, key)
        if isinstance(value, Mapping) and isinstance(inner, Mapping) and "kind" not in value:
            yield from _leaves(value, inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _step_into(record: Any, name: str) -> Any:
    for part in name.split("."):
        record = record.get(part) if isinstance(record, Mapping) else None
    return record


def _check_name(name: str, record: Mapping[str, Any], where: str) -> None:
    """Raise for a name that leads out of the recipe; what lies in a field that is none shows when it is built."""
    place: Any = record
    parts = name.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(place, Mapping):
            return
        if part not in place:
            within = ".".join(parts[:depth])
            known = [f"{within}.{other}" if within else other for other in place]
            raise unknown_name(f"field in {where}", ".".join(parts[: depth + 1]), known)
        place = place[part]


def _admits_none(recipe: AnyRecipe, name: str) -> bool:
    *parents, last = name.split(".")
    owner: Any = recipe
    for parent in parents:
        owner = getattr(owner, parent, None)
    hint = get_type_hints(type(owner)).get(last)
    return get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(inner) for inner in value.values())
    if isinstance(value, list):
        return all(_is_plain(inner) for inner in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def agree(given: Any, understood: Any) -> bool:
    """Whether a value of a file was taken as it stands; an int is a float too, nothing else changes its type."""
    if isinstance(given, Mapping):
        return isinstance(understood, Mapping) and all(
            agree(value, understood.get(key)) for key, value in given.items()
        )
    if isinstance(given, list):
        return (
            isinstance(understood, list)
            and len(given) == len(understood)
            and all(agree(mine, theirs) for mine, theirs in zip(given, understood, strict=True))
        )
    if type(given) is int and type(understood) is float:
        return given == understood
    return type(given) is type(understood) and given == understood


def _show(value: Any) -> str:
    """A value as a sweep file writes it."""
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else repr(value)
