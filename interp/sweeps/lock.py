"""One writer at a time."""

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

BETWEEN_TRIES = 0.2
"""Seconds."""


class TakenError(ValueError):
    """Another process writes there."""


@contextmanager
def locked(path: Path, what: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock at ``path`` as the only process on any machine that shares the folder.

    The lock belongs to the process and vanishes with it, however it ends; the file stays and names its owners, one a
    line. Raises TakenError, naming the owner, where another process still holds it after ``patience`` seconds; ``what``
    is what it would be holding.
    """
    last_try = time.monotonic() + patience
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= last_try:
                    owner = (owners(path) or ["another process"])[-1]
                    raise TakenError(
                        f"{what} is being written by {owner}; wait until it is done, or give another folder."
                    ) from None
            time.sleep(BETWEEN_TRIES)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(f"process {os.getpid()} on {platform.node()} since {now}\n")
        file.flush()
        yield


def owners(path: Path) -> list[str]:
    """Everyone who has held the lock at ``path``, in order; none where nobody has."""
    return path.read_text().splitlines() if path.is_file() else []
