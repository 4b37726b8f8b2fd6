"""One figure of a paper, computed anew: table, drawing, and a verdict on each of its claims."""

import io
import json
import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from interp._files import write_atomically
from interp.models.folders import current_versions
from interp.report.finding import Finding

SCHEMA = "interp-reproduction/1"
SUFFIXES = (".svg", ".pdf", ".csv", ".json")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What was computed for one figure."""

    name: str
    title: str
    source: str
    """Paper and figure."""
    findings: tuple[Finding, ...]
    """The paper's claims, each with what was measured and a verdict."""
    table: pd.DataFrame
    """All that is drawn, tidy: panel, series, seed, x, y, and further columns that a panel needs."""
    drawing: Figure
    runs: tuple[dict[str, Any], ...]
    """The models it rests on: recipe, seed, checksum of the weights, or why a run failed."""
    scale: dict[str, Any] = field(default_factory=dict)
    """Seeds, prompts, and whether it was quick."""

    @property
    def verdicts(self) -> Counter[str]:
        """How many claims were supported, refuted, inconclusive."""
        return Counter(finding.verdict for finding in self.findings)

    def to_record(self) -> dict[str, Any]:
        """The content of the JSON file."""
        return {
            "schema": SCHEMA,
            "figure": self.name,
            "title": self.title,
            "source": self.source,
            "scale": self.scale,
            "environment": {
                "versions": {"python": platform.python_version(), **current_versions()},
                "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            },
            "runs": list(self.runs),
            "findings": [finding.to_record() for finding in self.findings],
        }

    def write(self, folder: Path | str, *, force: bool = False) -> list[Path]:
        """Write NAME.svg, NAME.pdf, NAME.csv and NAME.json into a folder, which is made if need be.

        Replaces an earlier reproduction of the same figure; raises FileExistsError for other files of these names
        unless forced.
        """
        folder = Path(folder)
        check_places(folder, self.name, force=force)
        folder.mkdir(parents=True, exist_ok=True)
        contents: tuple[str | bytes, ...] = (
            self._saved("svg"),
            self._saved("pdf"),
            self.table.to_csv(index=False),
            json.dumps(self.to_record(), indent=1, allow_nan=False) + "\n",
        )
        paths = places(folder, self.name)
        for path, content in zip(paths, contents, strict=True):
            write_atomically(path, content)
        return paths

    def _saved(self, kind: str) -> bytes:
        buffer = io.BytesIO()
        # Fixed salts and no dates: the same numbers give the same files.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "interp", "pdf.fonttype": 42}):
            no_date = {"Date": None} if kind == "svg" else {"CreationDate": None}
            self.drawing.savefig(buffer, format=kind, bbox_inches="tight", metadata=no_date)
        return buffer.getvalue()


def places(folder: Path, name: str) -> list[Path]:
    """The files of a figure's reproduction: SVG, PDF, CSV, JSON."""
    return [folder / f"{name}{suffix}" for suffix in SUFFIXES]


def check_places(folder: Path, name: str, *, force: bool) -> None:
    """Raise now what `Reproduction.write` would raise after the work: files there that no reproduction wrote."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; give a folder.")
    *_, record = paths = places(folder, name)
    ours = record.is_file() and f'"schema": "{SCHEMA}"' in record.read_text(errors="replace")[:200]
    taken = [path.name for path in paths if path.exists()]
    if taken and not ours and not force:
        raise FileExistsError(
            f"{folder} holds {', '.join(taken)}, which `interp reproduce` did not write. Give another --out, or "
            "--force to replace them."
        )
