import numpy as np
import pandas as pd
import pytest

from interp.sweeps.figures import draw_spread

SPREAD = pd.DataFrame(
    {
        "layers": [1, 1, 4, 4],
        "series": ["lr 0.1", "lr 0.2"] * 2,
        "seeds": 3,
        "mean": [0.8, 0.9, 0.02, 0.03],
        "low": [0.7, 0.8, 0.01, 0.02],
        "high": [0.9, 1.0, 0.03, 0.04],
        "control": [0.5, 0.6, 0.5, 0.6],
    }
)


@pytest.mark.parametrize(("may_be_log", "scale"), [(True, "log"), (False, "linear")])
def test_only_what_may_have_a_logarithmic_axis_gets_one(may_be_log, scale):
    (ax,) = draw_spread(SPREAD, "loss", may_be_log=may_be_log).axes
    assert (ax.get_yscale(), ax.get_xscale()) == (scale, "linear")


def test_a_control_is_drawn_for_every_series_and_named_once():
    (ax,) = draw_spread(SPREAD, "loss", control_label="before training").axes
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["lr 0.1", "lr 0.2", "before training"]
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [np.asarray(line.get_ydata()).tolist() for line in hollow] == [[0.5, 0.5], [0.6, 0.6]]


def test_a_single_series_beside_a_control_is_named_by_its_number():
    table = SPREAD[SPREAD["series"] == "lr 0.1"].assign(series="")
    (ax,) = draw_spread(table, "loss", control_label="before training").axes
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["loss", "before training"]
    assert draw_spread(table.drop(columns="control"), "loss").axes[0].get_legend() is None
