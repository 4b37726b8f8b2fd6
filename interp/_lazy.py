"""Packages whose heavy modules load on first use."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_attributes(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Build a module ``__getattr__`` that takes each public name from its home module when it is first asked for."""

    def load_attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {sorted(homes)}")
        return getattr(import_module(homes[name]), name)

    return load_attribute
