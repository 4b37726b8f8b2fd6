"""metrics.jsonl: one line per logged update."""

import json
from pathlib import Path
from typing import Any

from interp._files import write_atomically

METRICS = "metrics.jsonl"


class MetricsLog:
    """Appends to a run's metrics.jsonl. Whole lines only: what a crash left half written is cut off on opening."""

    def __init__(self, folder: Path, before_step: int) -> None:
        self._path = folder / METRICS
        kept = [row for row in read_metrics(folder) if row["step"] < before_step]
        write_atomically(self._path, "".join(json.dumps(row) + "\n" for row in kept))

    def write(self, row: dict[str, float]) -> None:
        """Append one line."""
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(folder: Path | str) -> list[dict[str, Any]]:
    """All whole lines of a run's metrics.jsonl; none if there is no such file."""
    path = Path(folder) / METRICS
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that a killed run was writing, and nothing after it
    return rows
