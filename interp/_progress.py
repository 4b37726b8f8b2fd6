"""Progress on standard error, for anything that takes longer than two seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds before a bar appears."""


class Tracker:
    """Counts work done, and shows a bar once the work has lasted."""

    def __init__(self, what: str, total: int, start: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total, completed=start, note="")
        self._began = time.monotonic()
        self._shown = False

    def advance(self, note: str = "", by: int = 1) -> None:
        """Count ``by`` more units of work done."""
        self._progress.update(self._task, advance=by, note=note)
        if not self._shown and time.monotonic() - self._began > PATIENCE:
            self._progress.start()
            self._shown = True

    def close(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._progress.stop()


@contextmanager
def track(what: str, total: int, start: int = 0) -> Iterator[Tracker]:
    """Follow ``total`` units of work, of which ``start`` are done already."""
    tracker = Tracker(what, total, start)
    try:
        yield tracker
    finally:
        tracker.close()
