"""Files that are either whole or not there."""

import os
import tempfile
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from interp._usage import UsageError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` in one step: a reader, or a crash, sees the old file or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def check_apart(places: Mapping[str, Path]) -> None:
    """Refuse one path for two of the things to be written, which are called as the keys. Raises UsageError."""
    for (what, path), (other, second) in combinations(places.items(), 2):
        if path.resolve() == second.resolve():
            raise UsageError(f"{what} and {other} would both be {path}; give them different paths.")


def check_output_file(path: Path, *, ours: bool, force: bool) -> None:
    """Refuse to overwrite a file that this toolkit did not write, unless forced. Raises FileExistsError or OSError."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of a file.")
    if path.exists() and not ours and not force:
        raise FileExistsError(f"{path} exists already. Give another path, or --force to replace it.")
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder {folder} does not exist; create it, or give another path.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"The folder {folder} cannot be written to; give another path.")
