import pytest

from interp._specs import parse_spec
from tests.errors import raises_exactly


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("gd", "gd", {}),
        ("gd:steps=3", "gd", {"steps": 3}),
        ("gd++:lr=0.5,gamma=1e-3", "gd++", {"lr": 0.5, "gamma": 1e-3}),
        ("gd: lr = 2 , normalize = sum", "gd", {"lr": 2, "normalize": "sum"}),
        ("newton:alpha=-1.5", "newton", {"alpha": -1.5}),
    ],
)
def test_a_spec_is_a_name_and_typed_values(text, name, values):
    found_name, found = parse_spec(text)
    assert (found_name, found) == (name, values)
    assert [type(value) for value in found.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gd:", "'gd:' ends after the colon; write 'gd' or 'gd:key=value'."),
        ("gd:steps", "Cannot read 'steps' in 'gd:steps'; expected key=value pairs divided by commas."),
        ("gd:steps=", "Cannot read 'steps=' in 'gd:steps='; expected key=value pairs divided by commas."),
        ("gd:=3", "Cannot read '=3' in 'gd:=3'; expected key=value pairs divided by commas."),
        ("gd:a=1,", "Cannot read '' in 'gd:a=1,'; expected key=value pairs divided by commas."),
        ("gd:a=1,a=2", "'a' is given twice in 'gd:a=1,a=2'."),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(text, message):
    with raises_exactly(ValueError, message):
        parse_spec(text)
