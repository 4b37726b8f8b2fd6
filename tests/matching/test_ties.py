"""Best steps among iterates of which some are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.matching.ties import TIED, fewest_best, highest


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=8), st.randoms())
def test_of_the_steps_with_the_highest_similarity_the_fewest_is_best_in_any_order(tenths, random):
    steps = random.sample(range(20), len(tenths))
    best = fewest_best(np.array(tenths) / 10, steps)
    assert steps[best] == min(step for step, value in zip(steps, tenths, strict=True) if value == max(tenths))


@pytest.mark.parametrize(("above", "best"), [(TIED / 10, 0), (10 * TIED, 1)])
def test_what_is_higher_by_rounding_is_no_higher(above, best):
    similarity = np.array([0.5, 0.5 + above, 0.2])
    assert fewest_best(similarity, [3, 4, 5]) == best
    assert list(highest(similarity)) == [best == 0, True, False]


def test_what_is_no_number_is_never_the_best():
    assert fewest_best(np.array([[np.nan, -1.0, np.nan], [0.1, np.nan, 0.2]]), [1, 2, 3]).tolist() == [1, 2]
