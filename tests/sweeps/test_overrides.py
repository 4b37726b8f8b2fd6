from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp._records import to_record
from interp.sweeps.overrides import field_of, flat_fields, with_fields
from interp.training import RECIPES


def leaves(record: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a recipe's record by dotted name, as a sweep file would write it."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", "none" if value is None else value


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_whose_fields_are_all_given_as_they_are_stays_what_it_is(name):
    recipe = RECIPES[name]
    fields = dict(leaves(to_record(recipe)))
    assert with_fields(recipe, fields, "here") == recipe
    assert flat_fields(fields, recipe, "here") == fields


def test_nested_tables_and_dotted_names_say_the_same():
    nested, dotted = {"model": {"n_layers": 3}, "steps": 5}, {"model.n_layers": 3, "steps": 5}
    for table in (nested, dotted):
        assert flat_fields(table, RECIPES["lsa-1layer"], "here") == dotted


@settings(max_examples=8)
@given(steps=st.integers(1, 10**6), lr=st.floats(1e-9, 1e3), noise=st.floats(0, 10), layers=st.integers(1, 9))
def test_what_is_given_is_what_the_recipe_has(steps, lr, noise, layers):
    recipe = RECIPES["lsa-1layer"]
    fields = {"steps": steps, "lr": lr, "task.noise_std": noise, "model.n_layers": layers}
    record = to_record(with_fields(recipe, fields, "here"))
    assert {name: field_of(record, name) for name in fields} == fields
    assert dict(leaves(record)) | fields == dict(leaves(record))
    assert {name for name, value in leaves(record) if dict(leaves(to_record(recipe)))[name] != value} <= set(fields)


def test_the_recipe_itself_is_not_changed():
    recipe = RECIPES["lsa-1layer"]
    before = replace(recipe)
    with_fields(recipe, {"steps": 1, "model.n_layers": 7}, "here")
    assert recipe == before


def test_a_value_that_lies_in_nothing_is_none():
    assert field_of(to_record(RECIPES["lsa-1layer"]), "curriculum.dims.start") is None
