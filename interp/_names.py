"""Looking a name up, with help for the one who mistyped it."""

from collections.abc import Iterable
from difflib import get_close_matches

from interp._usage import UsageError


class UnknownNameError(UsageError):
    """A name that no registry knows."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a ``name`` that is not among the ``known`` ones, naming the nearest."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5) or [full for full in names if name and full.startswith(name)]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(f"Unknown {kind} {name!r}; known are {', '.join(names)}.{hint}")
