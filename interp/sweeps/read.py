"""From a file, or the same content as a dictionary, to a sweep that can run."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any, get_args

from interp._names import unknown_name
from interp._precision import Precision
from interp._records import from_record, to_record
from interp._seeds import parse_seeds
from interp.sweeps.analyses import ANALYSES, AbstractAnalysis
from interp.sweeps.overrides import agree, flat_fields, with_fields
from interp.sweeps.plan import PlannedRun, Sweep, plan_runs
from interp.training import RECIPES
from interp.training.recipe import AnyRecipe, LanguageRecipe

KEYS = ("name", "recipe", "seeds", "precision", "compile", "fields", "grid", "runs", "analyses", "options")
"""What a sweep file may hold."""
OWN = {"name": "the sweep has a name of its own", "seed": "seeds stand in `seeds`"}
"""Fields that a sweep does not set, and why."""


def load_sweep(path: Path | str) -> Sweep:
    """Read a sweep file (TOML).

    Raises FileNotFoundError where there is none, and ValueError for broken TOML and for whatever `make_sweep` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no sweep file {path}; give the path of a TOML file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML ({error}); correct it.") from None
    return make_sweep(content, where=str(path))


def make_sweep(content: Mapping[str, Any], where: str = "the sweep") -> Sweep:
    """Build a sweep from the content of a sweep file, in full: every run's recipe is made and checked.

    Raises ValueError, naming ``where`` the content comes from, for unknown fields, recipes, analyses and options,
    values of another type, an empty grid, no runs or seeds, and runs that come twice.
    """
    for key in content:
        if key not in KEYS:
            raise unknown_name(f"field in {where}", key, KEYS)
    name = _name(content, where)
    recipe = _recipe(content, where)
    fixed = _fields(_table(content, "fields", where), recipe, f"{where}, [fields]")
    base = _as_far_as_fixed(recipe, fixed, where)
    grid = _grid(_table(content, "grid", where), base, f"{where}, [grid]") if "grid" in content else {}
    rows = list(_rows(content, base, where))
    swept = tuple(dict.fromkeys([name for row in rows for name in row] + list(grid)))
    for field in grid:
        for place, names in (("[fields]", set(fixed)), ("[[runs]]", {name for row in rows for name in row})):
            if field in names:
                raise ValueError(f"{where} gives the field {field!r} in [grid] and in {place}; give it in one of them.")
    recipes = [
        with_fields(recipe, {**fixed, **row, **dict(zip(grid, values, strict=True))}, where)
        for row in rows or [{}]
        for values in product(*grid.values())
    ]
    runs = plan_runs(recipes, swept, _seeds(content, where))
    _check_apart(runs, where)
    return Sweep(
        name=name,
        recipe=recipe,
        swept=swept,
        runs=runs,
        analyses=_analyses(content, recipe, where),
        precision=_precision(content, where),
        compile=_compile(content, where),
    )


def _name(content: Mapping[str, Any], where: str) -> str:
    name = content.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        came = "none" if name is None else repr(name)
        raise ValueError(f"{where} needs a `name` of letters, digits, dots, hyphens and underscores; got {came}.")
    return name


def _recipe(content: Mapping[str, Any], where: str) -> AnyRecipe:
    name = content.get("recipe")
    if not isinstance(name, str):
        came = "none" if name is None else repr(name)
        raise ValueError(f"{where} needs a `recipe`, the name of one; got {came}. Names are listed by: interp train")
    if name not in RECIPES:
        raise unknown_name(f"recipe in {where}", name, RECIPES)
    return RECIPES[name]


def _precision(content: Mapping[str, Any], where: str) -> Precision:
    given = content.get("precision", "fp32")
    for known in get_args(Precision):
        if given == known:
            return known
    raise unknown_name(f"precision in {where}", str(given), get_args(Precision))


def _compile(content: Mapping[str, Any], where: str) -> bool:
    given = content.get("compile", False)
    if not isinstance(given, bool):
        raise ValueError(f"{where}: `compile` must be true or false, got {given!r}.")
    return given


def _table(content: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: `{key}` must be a table, [{key}], got {table!r}.")
    return table


def _fields(table: Mapping[str, Any], recipe: AnyRecipe, where: str) -> dict[str, Any]:
    for name, reason in OWN.items():
        if name in table:
            raise ValueError(f"{where} cannot set {name!r}: {reason}.")
    return flat_fields(table, recipe, where)


def _as_far_as_fixed(recipe: AnyRecipe, fixed: Mapping[str, Any], where: str) -> AnyRecipe:
    """The recipe whose fields a grid may name: a fixed field can replace a whole task or model by another kind.

    Fixed fields may contradict each other until the grid or a row adds its own; the runs are where that is checked.
    """
    try:
        return with_fields(recipe, fixed, where)
    except ValueError:
        return recipe


def _grid(table: Mapping[str, Any], recipe: AnyRecipe, where: str) -> dict[str, list[Any]]:
    grid = _fields(table, recipe, where)
    if not grid:
        raise ValueError(f"{where} is empty; give a field with a list of values, or leave the table out.")
    for name, values in grid.items():
        if not isinstance(values, list):
            raise ValueError(f"{where}: {name!r} needs a list of values, got {values!r}; one value goes in [fields].")
        if not values:
            raise ValueError(f"{where} is empty: {name!r} has no values; give at least one, or leave the field out.")
    return grid


def _rows(content: Mapping[str, Any], recipe: AnyRecipe, where: str) -> Iterator[dict[str, Any]]:
    rows = content.get("runs", [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{where}: `runs` must be a list of tables, [[runs]], got {rows!r}.")
    if "runs" in content and not rows:
        raise ValueError(f"{where}: `runs` is empty; give at least one row, or leave it out.")
    for i, row in enumerate(rows):
        yield _fields(row, recipe, f"{where}, row {i + 1} of [[runs]]")


def _seeds(content: Mapping[str, Any], where: str) -> list[int]:
    given = content.get("seeds", [0])
    if isinstance(given, str):
        try:
            return parse_seeds(given)
        except ValueError as error:
            raise ValueError(f"{where}, `seeds`: {error}") from None
    if not isinstance(given, list) or not given or not all(type(seed) is int and seed >= 0 for seed in given):
        raise ValueError(
            f"{where}: `seeds` must be a list of numbers from 0, such as [0, 1, 2], or a text such as '0-9'; got "
            f"{given!r}."
        )
    if len(set(given)) < len(given):
        raise ValueError(f"{where}: `seeds` names a seed twice, got {given!r}; give each once.")
    return given


def _check_apart(runs: tuple[PlannedRun, ...], where: str) -> None:
    seen: dict[str, PlannedRun] = {}
    for run in runs:
        if run.name in seen:
            raise ValueError(f"{where} asks for the run {run.name} twice; give each combination of fields once.")
        seen[run.name] = run


def _analyses(content: Mapping[str, Any], recipe: AnyRecipe, where: str) -> tuple[AbstractAnalysis, ...]:
    kinds = content.get("analyses", ["loss"])
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise ValueError(f"{where}: `analyses` must be a list of names from {', '.join(ANALYSES)}; got {kinds!r}.")
    if len(set(kinds)) < len(kinds):
        raise ValueError(f"{where}: `analyses` names one twice, got {kinds!r}; give each once.")
    options = _table(content, "options", where)
    for kind in options:
        if kind not in kinds:
            raise unknown_name(f"analysis in {where}, [options]", kind, kinds)
    return tuple(_analysis(kind, _table(options, kind, f"{where}, [options]"), recipe, where) for kind in kinds)


def _analysis(kind: str, options: Mapping[str, Any], recipe: AnyRecipe, where: str) -> AbstractAnalysis:
    if kind not in ANALYSES:
        raise unknown_name(f"analysis in {where}", kind, ANALYSES)
    known = [field.name for field in fields(ANALYSES[kind])]
    for option in options:
        if option not in known:
            raise unknown_name(f"option in {where}, [options.{kind}]", option, known)
    if isinstance(recipe, LanguageRecipe) and not ANALYSES[kind].of_language_models:
        fitting = ", ".join(name for name, other in ANALYSES.items() if other.of_language_models)
        raise ValueError(
            f"{where}: the analysis {kind!r} is of models of in-context regression, and recipe {recipe.name!r} trains "
            f"a language model; it can have {fitting}."
        )
    analysis: AbstractAnalysis = from_record(ANALYSES[kind], dict(options), f"{where}, [options.{kind}]")
    understood = to_record(analysis)
    for option, value in options.items():
        if not agree(value, understood[option]):
            raise ValueError(
                f"{where}, [options.{kind}]: {option!r} takes {understood[option]!r} rather than {value!r}; write that."
            )
    return analysis
