"""Progress on standard error, for anything that takes longer than two seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds before a bar appears."""


class _Board:
    """The one display that all trackers share, so that work within work shows bar under bar."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._n_open = 0
        self._shown = False

    def open(self, what: str, total: int, start: int) -> tuple[Progress, TaskID]:
        """Add a bar, hidden until `show`."""
        if self._progress is None:
            console = Console(stderr=True)
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        self._n_open += 1
        return self._progress, self._progress.add_task(what, total=total, completed=start, note="", visible=False)

    def show(self, task: TaskID) -> None:
        """Make a bar visible, and the display with it."""
        assert self._progress is not None
        self._progress.update(task, visible=True)
        if not self._shown:
            self._progress.start()
            self._shown = True

    def close(self, task: TaskID) -> None:
        """Take a bar away, and with the last one the display."""
        assert self._progress is not None
        self._progress.remove_task(task)
        self._n_open -= 1
        if self._n_open == 0:
            if self._shown:
                self._progress.stop()
            self._progress, self._shown = None, False


_BOARD = _Board()


class Tracker:
    """Counts work done, and shows a bar once the work has lasted."""

    def __init__(self, what: str, total: int, start: int) -> None:
        self._progress, self._task = _BOARD.open(what, total, start)
        self._began = time.monotonic()
        self._shown = False

    def advance(self, note: str = "", by: int = 1) -> None:
        """Count ``by`` more units of work done."""
        self._progress.update(self._task, advance=by, note=note)
        if not self._shown and time.monotonic() - self._began > PATIENCE:
            _BOARD.show(self._task)
            self._shown = True


@contextmanager
def track(what: str, total: int, start: int = 0) -> Iterator[Tracker]:
    """Follow ``total`` units of work, of which ``start`` are done already; shown only on a terminal."""
    tracker = Tracker(what, total, start)
    try:
        yield tracker
    finally:
        _BOARD.close(tracker._task)
