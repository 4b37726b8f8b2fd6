"""A report: findings, tables and figures, and how it becomes files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp._files import check_apart, check_output_file, write_atomically
from interp.report.finding import Finding
from interp.report.render import GENERATOR, render_html

SCHEMA = "interp-report/1"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with its numbers."""

    title: str
    caption: str
    """How to read it."""
    svg: str
    table: str
    """Name of the report's table that holds its numbers."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter of the report."""

    title: str
    introduction: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[str, ...] = ()
    """Names of further tables shown in it."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that was found about one model."""

    model: dict[str, Any]
    environment: dict[str, Any]
    findings: tuple[Finding, ...]
    tables: dict[str, pd.DataFrame]
    sections: tuple[Section, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        return tuple(figure for section in self.sections for figure in section.figures)

    def to_record(self) -> dict[str, Any]:
        """The content of report.json."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "environment": self.environment,
            "findings": [finding.to_record() for finding in self.findings],
            "tables": {name: table_records(table) for name, table in self.tables.items()},
        }

    def write(self, html: Path | str | None = None, json: Path | str | None = None, *, force: bool = False) -> None:
        """Write report.html and report.json, whichever is named, each in one piece.

        Replaces earlier reports; raises FileExistsError for any other file unless forced, OSError for a place that
        cannot be written to, and ValueError for one place named twice. Both are checked before either is written.
        """
        check_places(html, json, force=force)
        contents: list[tuple[Path, str]] = []
        if html is not None:
            contents.append((Path(html), render_html(self)))
        if json is not None:
            contents.append((Path(json), _dumps(self.to_record())))
        for path, content in contents:
            write_atomically(path, content)


def check_places(html: Path | str | None, json_path: Path | str | None, *, force: bool) -> None:
    """Raise now what `Report.write` would raise after the work: a place that is taken or cannot be written to."""
    if html is not None and json_path is not None:
        check_apart({"The page": Path(html), "its JSON": Path(json_path)})
    if html is not None:
        check_output_file(Path(html), ours=_holds(Path(html), f'name="generator" content="{GENERATOR}"'), force=force)
    if json_path is not None:
        check_output_file(Path(json_path), ours=_holds(Path(json_path), f'"schema": "{SCHEMA}"'), force=force)


def table_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as plain JSON rows; numbers that do not exist are None."""
    objects = table.astype(object)
    records = objects.where(objects.map(_exists), None).to_dict(orient="records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _exists(value: object) -> bool:
    return not isinstance(value, float) or bool(np.isfinite(value))


def _dumps(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=1, allow_nan=False, default=_plain) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written to JSON")


def _holds(path: Path, marker: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return marker.encode() in file.read(4096)
