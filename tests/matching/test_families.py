import pytest

from interp.matching import Family, make_family
from interp.matching.families import with_nulls
from interp.solvers import GradientDescent, Newton, make_solver
from tests.errors import raises_exactly


def test_a_bare_name_leaves_hyperparameters_free():
    family = make_family("ridge", many_prefixes=False)
    assert (family.name, family.fixed) == ("ridge", False)
    assert family.steps == make_solver("ridge").default_steps


def test_a_name_with_parameters_and_a_solver_are_taken_as_they_are():
    expected = Family("gd", (GradientDescent(lr=0.5, normalize="sum"),), GradientDescent.default_steps, fixed=True)
    assert make_family("gd:lr=0.5,normalize=sum", many_prefixes=True) == expected
    assert make_family(GradientDescent(lr=0.5, normalize="sum"), many_prefixes=True) == expected
    assert make_family(expected, many_prefixes=True) is expected


def test_gradient_descent_has_two_normalisations_to_try_where_prefixes_differ_in_length():
    templates = make_family("gd", many_prefixes=True).templates
    assert [getattr(solver, "normalize", None) for solver in templates] == ["mean", "sum"]
    assert len(make_family("gd", many_prefixes=False).templates) == 1


def test_newton_is_tried_from_a_fitted_constant_and_from_its_published_scale():
    templates = make_family("newton", many_prefixes=False).templates
    assert {solver.scale for solver in templates if isinstance(solver, Newton)} == {"constant", "frobenius"}
    assert len(templates) == 2


def test_steps_replace_the_default_grid():
    assert make_family("newton", many_prefixes=False, steps=range(3)).steps == (0, 1, 2)


def test_the_null_predictors_always_compete_and_never_twice():
    families = [make_family(name, many_prefixes=False) for name in ("gd", "zero")]
    assert [family.name for family in with_nulls(families)] == ["gd", "zero", "mean"]
    assert [family.is_null for family in with_nulls(families)] == [False, True, True]


@pytest.mark.parametrize("steps", [[], [-1]], ids=str)
def test_steps_are_counts(steps):
    with raises_exactly(
        ValueError, f"`steps` needs at least one step count, each a whole number from 0 up; got {steps}."
    ):
        make_family("gd", many_prefixes=False, steps=steps)
