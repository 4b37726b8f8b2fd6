"""Drawings of a sweep's tables. They compute nothing."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter

from interp.report.style import ACCENT, style
from interp.sweeps.spread import is_ordered

MOST_LABELS = 12
"""Series that a legend names."""
LOG_FROM = 10.0
"""Values that span at least this factor are drawn on a logarithmic axis."""


def draw_spread(
    table: pd.DataFrame, label: str, *, field_label: str = "", control_label: str = "", may_be_log: bool = False
) -> Figure:
    """Mean over the seeds against the first column of a table from `spread_over_seeds`, a line for each series.

    Bars reach from the lowest seed to the highest. Hollow dots on a broken line are the column ``control``, if there
    is one. The field's axis is labelled by its name unless given; the other is logarithmic only where it may be.
    """
    field = str(table.columns[0])
    series = list(dict.fromkeys(table["series"]))
    colors = [ACCENT] if len(series) == 1 else sns.color_palette("flare", len(series)).as_hex()
    ordered = is_ordered(table[field])
    values = list(dict.fromkeys(table[field]))
    with style():
        named = len(series) > 1 or "control" in table
        figure = Figure(figsize=(8.2 if named else 6.4, 3.2), layout="constrained")
        ax = figure.subplots()
        for name, color in zip(series, colors, strict=True):
            rows = table[table["series"] == name]
            places = rows[field] if ordered else [values.index(value) for value in rows[field]]
            ax.vlines(places, rows["low"], rows["high"], color=color, lw=4, alpha=0.3)
            ax.plot(places, rows["mean"], "o-" if ordered else "o", color=color, ms=4.5, lw=1.5, label=name or label)
            if "control" in table:
                known = control_label if name == series[-1] else None  # once in the legend
                line = "o:" if ordered else "o"
                ax.plot(places, rows["control"], line, color=color, ms=4.5, lw=1.2, mfc="none", label=known)
        if ordered:
            _scale(ax, [float(value) for value in values])
        else:
            ax.set_xticks(range(len(values)), [str(value) for value in values])
            ax.set_xlim(-0.5, len(values) - 0.5)
        drawn = table[[column for column in ("low", "high", "control") if column in table]]
        if may_be_log and drawn.min().min() > 0 and drawn.max().max() > LOG_FROM * drawn.min().min():
            ax.set_yscale("log")
        ax.set_xlabel(field_label or field)
        ax.set_ylabel(label)
        if named and len(series) <= MOST_LABELS:
            ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1, 1))
        return figure


def _scale(ax: Axes, values: list[float]) -> None:
    if min(values) > 0 and max(values) >= LOG_FROM * min(values):
        ax.set_xscale("log")
    ax.set_xticks(values)
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.xaxis.set_minor_formatter(NullFormatter())
