"""How all drawings look."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl

from interp.report.render import INK

ACCENT, MUTED, CONTROL, GREEN = "#2f7ebc", "#8c96a0", "#d1783b", "#6aa84f"


@contextmanager
def style(ink: str = INK) -> Iterator[None]:
    """Settings under which a figure is drawn; ``ink`` colours text and axes (a page replaces the default)."""
    with mpl.rc_context(
        {
            "text.color": ink,
            "axes.labelcolor": ink,
            "axes.edgecolor": ink,
            "axes.titlecolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "font.family": "sans-serif",
            "font.size": 10,
            "axes.titlesize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        yield
