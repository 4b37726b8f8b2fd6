"""Random heads: as many, of the same layers, never those that were found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.attribution.language.controls import FEWEST, compare, control_sets, names_of

heads = st.tuples(st.integers(0, 2), st.integers(0, 5))


@given(st.sets(heads, min_size=1, max_size=5), st.sets(heads, max_size=6), st.integers(1, 8))
def test_random_heads_are_as_many_of_the_same_layers_and_never_found(chosen, found, n_draws):
    draws = control_sets(sorted(chosen), found, 6, n_draws)
    assert len(draws) <= n_draws
    assert len({frozenset(draw) for draw in draws}) == len(draws)
    for draw in draws:
        assert sorted(layer for layer, _ in draw) == sorted(layer for layer, _ in chosen)
        assert not set(draw) & (chosen | found)
        assert len(set(draw)) == len(draw)


def test_all_choices_are_taken_where_they_are_few():
    draws = control_sets([(0, 0), (1, 1)], [(0, 0), (1, 1), (1, 2)], 4)
    expected = {frozenset({(0, one), (1, other)}) for one in (1, 2, 3) for other in (0, 3)}
    assert {frozenset(draw) for draw in draws} == expected


def test_a_layer_without_enough_other_heads_has_no_control():
    assert control_sets([(0, 0), (0, 1)], [(0, 2)], 4) == []
    assert control_sets([(0, 0), (1, 0)], [(1, head) for head in range(4)], 4) == []


def test_draws_are_a_function_of_the_seed():
    first, again, other = (control_sets([(0, 0), (0, 1)], [], 12, 10, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("change", "random", "direction", "verdict"),
    [
        ([1.0, 1.1, 0.9], [0.1, 0.2, 0.3], 1, "clear"),
        ([1.0, 1.1, 0.9], [0.1, 0.2, 1.3], 1, "not clear"),
        ([1.0, 1.1, 0.9], [-0.1, -0.2, -0.3], -1, "not clear"),
        ([-1.0, -1.1, -0.9], [-0.1, -0.2, -0.3], -1, "clear"),
        ([-1.0, -1.1, -0.9], [-5.0, -4.0, -3.0], 1, "not clear"),  # above the random ones', but a fall
        ([0.5, 0.6, 0.7], [0.8, 0.9, 1.0], -1, "not clear"),  # below the random ones', but a rise
        ([0.3, 0.3, 0.3], [0.3, 0.3, 0.3], 1, "not clear"),  # touching
        ([9.0, 9.0, 9.0], [0.1, 0.2], 1, "too few others"),
        ([9.0, 9.0, 9.0], [], 1, "too few others"),
    ],
)
def test_a_change_is_clear_beyond_zero_and_all_usual_random_ones(change, random, direction, verdict):
    compared = compare(np.array(change), random, direction=direction)
    assert compared["verdict"] == verdict
    assert compared["n_random"] == len(random)
    assert (compared["verdict"] == "too few others") == (len(random) < FEWEST)
    assert compared["change"] == pytest.approx(np.mean(change))


def test_names_count_layers_from_1_as_tables_do():
    assert names_of([(1, 0), (0, 3)]) == "1.3 2.0"
