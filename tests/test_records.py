import json
from dataclasses import dataclass

import pytest

from interp._records import from_record, to_record
from interp.models.config import TransformerConfig
from interp.tasks import ConditionNumber, Eigenvalues, LinearRegression, TokenLayout
from interp.training import RECIPES, Recipe
from tests.errors import raises_exactly


@pytest.mark.parametrize(
    "value",
    [
        LinearRegression(),
        LinearRegression(dim=2, covariance=Eigenvalues(values=(2.0, 1.0), rotation="fixed")),
        LinearRegression(covariance=ConditionNumber(value=10)),
        TransformerConfig(n_layers=2, attention=("softmax", "linear"), mlp="gelu"),
        TransformerConfig(layout=TokenLayout(kind="interleaved", y_slot="shared"), positions="learned", n_ctx=9),
        *RECIPES.values(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_record_comes_back_from_json_as_it_was(value):
    record = json.loads(json.dumps(to_record(value)))
    assert from_record(type(value), record, "the file") == value


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner
    name: str = "x"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "the file does not describe a valid Outer: inner: Field required."),
        (
            {"inner": {"size": "big"}, "name": 3},
            "the file does not describe a valid Outer: inner.size: Input should be a valid integer, unable to parse "
            "string as an integer; name: Input should be a valid string.",
        ),
        ({"inner": {"colour": 1}, "shape": 2}, "the file has fields that Outer does not know: inner.colour, shape."),
        (
            [],
            "the file does not describe a valid Outer: Input should be a dictionary or an instance of Outer.",
        ),
    ],
    ids=str,
)
def test_fields_that_are_missing_ill_typed_or_unknown_are_named(data, message):
    with raises_exactly(ValueError, message):
        from_record(Outer, data, "the file")


def test_numbers_out_of_range_are_named_as_the_class_names_them():
    record = to_record(RECIPES["lsa-1layer"]) | {"steps": 0}
    with raises_exactly(
        ValueError,
        "the file does not describe a valid Recipe: Recipe 'lsa-1layer': `steps` must be at least 1, got 0.",
    ):
        from_record(Recipe, record, "the file")
