"""Trained models that ship with the package."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "zoo"
INDEX = FOLDER / "index.json"


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One shipped model."""

    name: str
    shows: str
    """What it is good for, in one line."""
    recipe: str
    seed: int
    n_parameters: int
    sha256: str
    """Of its model.safetensors."""

    @property
    def folder(self) -> Path:
        """Where it lies: a run folder like any other."""
        return FOLDER / self.name

    @property
    def n_bytes(self) -> int:
        """Size of its weights on disk."""
        return (self.folder / "model.safetensors").stat().st_size

    def verify(self) -> None:
        """Compare the weights with the checksum. Raises ValueError where they differ: the installation is damaged."""
        found = hashlib.sha256((self.folder / "model.safetensors").read_bytes()).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"The zoo model {self.name!r} is damaged: its weights have SHA-256 {found[:12]}..., "
                f"expected {self.sha256[:12]}.... Install the package again."
            )


@cache
def zoo_entries() -> dict[str, ZooEntry]:
    """The shipped models by name."""
    return {name: ZooEntry(name=name, **fields) for name, fields in json.loads(INDEX.read_text()).items()}
