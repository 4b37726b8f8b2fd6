import math

import numpy as np
import pytest

from interp.bench import BenchOptions
from interp.bench.growth import Workload, compare, draw_growth, exponent

SMALL = Workload(recipe="lsa-1layer", prompts=(4, 8), steps=(1, 2, 4), solvers=("gd",), steps_prompts=4)


@pytest.fixture
def matches(monkeypatch):
    """Matches that take no time and note what they were asked."""
    asked = []
    monkeypatch.setattr(
        "interp.bench.growth.match_layers",
        lambda model, prompts, solvers=None, steps=(): asked.append((len(prompts), solvers, list(steps))),
    )
    return asked


def test_the_exponent_of_a_power_law_is_its_exponent():
    assert exponent([1, 4, 16, 64], [3.0 * n**1.5 for n in (1, 4, 16, 64)]) == pytest.approx(1.5)


def test_every_size_is_held_against_linear_growth_from_the_smallest(matches):
    found = compare(BenchOptions(repeats=1), SMALL)
    assert [row.unit for row in found] == [
        "match of 4 prompts",
        "match of 8 prompts",
        "match of 1 steps per solver",
        "match of 2 steps per solver",
        "match of 4 steps per solver",
    ]
    assert [row.reference_s / found[2].ours_s for row in found[2:]] == pytest.approx([1, 2, 4])
    assert found[0].ratio == found[2].ratio == 1
    assert all(math.isnan(row.largest_difference) for row in found)
    assert matches == [
        (4, None, []),  # warms up
        (4, None, []),
        (8, None, []),
        (4, ("gd",), [1]),
        (4, ("gd",), [1]),
        (4, ("gd",), [1, 2]),
        (4, ("gd",), [1, 2, 3, 4]),
    ]


def test_the_drawing_has_a_panel_for_each_thing_that_grows_and_names_the_exponents(matches):
    found = compare(BenchOptions(repeats=1), SMALL)
    prompts, steps = draw_growth(found).axes
    assert (prompts.get_xlabel(), steps.get_xlabel()) == ("prompts", "steps per solver")
    measured, linear = (np.asarray(line.get_xydata()) for line in steps.lines)
    assert measured.tolist() == [[n, row.ours_s] for n, row in zip((1, 2, 4), found[2:], strict=True)]
    assert linear[:, 1].tolist() == pytest.approx([row.reference_s for row in found[2:]])
    labels = [line.get_label() for ax in (prompts, steps) for line in ax.lines]
    slopes = [row.note.split("exponent ")[1].split(" ")[0] for row in (found[0], found[2])]
    assert labels == [
        f"measured, exponent {slopes[0]}",
        "linear from the smallest",
        f"measured, exponent {slopes[1]}",
        "linear from the smallest",
    ]


def test_the_sizes_span_a_factor_of_64():
    workload = Workload()
    assert max(workload.prompts) / min(workload.prompts) == max(workload.steps) / min(workload.steps) == 64
