"""What a sweep is: runs, and what is analysed of each."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from interp._precision import Precision
from interp._records import to_record
from interp.sweeps.analyses.analysis import AbstractAnalysis
from interp.sweeps.overrides import NONE, field_of
from interp.training.recipe import AnyRecipe

LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One training of a sweep."""

    name: str
    """Folder of the run: the swept fields and the seed."""
    fields: dict[str, Any]
    """The swept fields by dotted name, with the values that this run has."""
    seed: int
    recipe: AnyRecipe

    def to_record(self) -> dict[str, Any]:
        """What the sweep's folder keeps of it."""
        return {"name": self.name, "fields": self.fields, "seed": self.seed, "recipe": to_record(self.recipe)}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs of one recipe over fields and seeds, and the analyses of each. `load_sweep` and `make_sweep` build it."""

    name: str
    recipe: AnyRecipe
    """What the runs vary, with the fields that are the same in all of them still as the toolkit has them."""
    swept: tuple[str, ...]
    """Dotted names of the fields that differ between runs, or may."""
    runs: tuple[PlannedRun, ...]
    analyses: tuple[AbstractAnalysis, ...]
    precision: Precision = "fp32"
    compile: bool = False
    """Whether models run through torch.compile while they are trained."""

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs, ascending."""
        return sorted({run.seed for run in self.runs})

    @property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """The swept fields in the order of the file, those that only ever change together in one group.

        A group begins with a field whose values are numbers, if it has one.
        """
        groups: list[list[str]] = []
        for field in self.swept:
            group = next((group for group in groups if self._change_together(group[0], field)), None)
            if group is None:
                groups.append([field])
            else:
                group.append(field)
        return tuple(tuple(sorted(group, key=lambda field: not self._is_numeric(field))) for group in groups)

    @property
    def shared(self) -> dict[str, Any]:
        """What the recipes of all runs have in common: the record of one, without the swept fields."""
        record: dict[str, Any] = to_record(self.runs[0].recipe)
        for name in self.swept:
            *parents, last = name.split(".")
            place: Any = record
            for parent in parents:
                place = place.get(parent) if isinstance(place, dict) else None
            if isinstance(place, dict):
                place.pop(last, None)
        return record

    def to_record(self) -> dict[str, Any]:
        """What the sweep's folder keeps of it."""
        return {
            "name": self.name,
            "recipe": self.recipe.name,
            "precision": self.precision,
            "compile": self.compile,
            "swept": list(self.swept),
            "analyses": {analysis.kind: to_record(analysis) for analysis in self.analyses},
            "runs": [run.to_record() for run in self.runs],
        }

    def _change_together(self, one: str, other: str) -> bool:
        pairs = {(show_field(run.fields[one]), show_field(run.fields[other])) for run in self.runs}
        return len(pairs) == len({mine for mine, _ in pairs}) == len({theirs for _, theirs in pairs})

    def _is_numeric(self, field: str) -> bool:
        return all(type(run.fields[field]) in (int, float) for run in self.runs)


def plan_runs(recipes: Sequence[AnyRecipe], swept: Sequence[str], seeds: Sequence[int]) -> tuple[PlannedRun, ...]:
    """Every recipe with every seed, under names that tell them apart."""
    short = _short_names(swept)
    runs = []
    for recipe in recipes:
        record = to_record(recipe)
        fields = {name: field_of(record, name) for name in swept}
        for seed in seeds:
            parts = [f"{short[name]}={show_field(value)}" for name, value in fields.items()]
            name = _as_folder(",".join([*parts, f"seed={seed}"]))
            runs.append(PlannedRun(name=name, fields=fields, seed=seed, recipe=recipe))
    return tuple(runs)


def show_field(value: Any) -> str:
    """A field's value as a short text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and not any(isinstance(inner, Mapping | list) for inner in value):
        return "+".join(show_field(inner) for inner in value)
    return json.dumps(value) if isinstance(value, Mapping | list) else str(value)


def _short_names(swept: Sequence[str]) -> dict[str, str]:
    """The last part of each name, or all of it where two end alike."""
    last = {name: name.rsplit(".", 1)[-1] for name in swept}
    return {name: part if list(last.values()).count(part) == 1 else name for name, part in last.items()}


def _as_folder(text: str) -> str:
    """A text as the name of a folder; where that loses something, with a digest that tells it from others."""
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", text)
    if name == text and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{blake2b(text.encode(), digest_size=4).hexdigest()}"
