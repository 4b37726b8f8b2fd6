"""Short names with parameters, such as ``gd:steps=3,dim=5``."""

from interp._usage import UsageError

Value = int | float | str


def parse_spec(text: str) -> tuple[str, dict[str, Value]]:
    """Split ``name:key=value,key=value`` into its name and its typed values.

    Numbers become int or float, all else stays text. Raises ValueError where a part has no ``=`` or a key comes twice.
    """
    name, colon, rest = text.partition(":")
    if colon and not rest:
        raise UsageError(f"{text!r} ends after the colon; write {name!r} or '{name}:key=value'.")
    values: dict[str, Value] = {}
    for part in rest.split(",") if rest else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise UsageError(f"Cannot read {part!r} in {text!r}; expected key=value pairs divided by commas.")
        if key in values:
            raise UsageError(f"{key!r} is given twice in {text!r}.")
        values[key] = _typed(value)
    return name, values


def _typed(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
