"""Curves of tidy tables. They compute nothing."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from interp.matching import Turn
from interp.report.render import INK
from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style

COLORS = {"gd": CONTROL, "gd++": GREEN}
NEAR_1 = 0.85
"""Where the closer look at cosines begins."""
LOG_FROM = 5.0
"""Losses that span more than this factor are drawn on a logarithmic scale."""


def draw_training(table: pd.DataFrame, references: Mapping[str, float], turn: Turn | None) -> Figure:
    """Loss, cosines, and cosines near 1, over updates of a table from `align_over_training`; solvers' losses dashed."""
    table = table[table["update"] > 0]
    with style():
        figure = Figure(figsize=(8.6, 2.9), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        loss = table.drop_duplicates("update")
        _band(left, loss["update"], loss, "loss", ACCENT, "the model")
        for name, value in references.items():
            left.axhline(value, color=COLORS[name], lw=1.2, ls="--", label=name)
            rows = table[table["solver"] == name]
            for ax in (middle, right):
                _band(ax, rows["update"], rows, "cosine", COLORS[name], name)
        for ax, title in ((left, "loss"), (middle, "cosine"), (right, "cosine, near 1")):
            if turn is not None:
                ax.axvspan(*turn.crossing, color=MUTED, alpha=0.3, lw=0)
            ax.set_xscale("log")
            ax.set_xlabel("update")
            ax.set_title(title)
            ax.tick_params(labelsize=8.5)
        left.set_ylim(bottom=0)
        middle.set_ylim(top=1.05)
        right.set_ylim(NEAR_1, 1 + 0.05 * (1 - NEAR_1))
        for ax in (left, middle):
            ax.legend(frameon=False, fontsize=8.5)
        return figure


def draw_path(table: pd.DataFrame) -> Figure:
    """Loss over share, one line for each construction of a ``construction, share, loss, ci_low, ci_high`` table."""
    with style():
        figure = Figure(figsize=(8.2, 2.6), layout="constrained")
        ax = figure.subplots()
        names = list(dict.fromkeys(table["construction"]))
        for name, color, line in zip(names, (ACCENT, CONTROL), ("o-", "--"), strict=True):
            rows = table[table["construction"] == name]
            ax.fill_between(rows["share"], rows["ci_low"], rows["ci_high"], color=color, alpha=0.15, lw=0)
            ax.plot(rows["share"], rows["loss"], line, color=color, ms=3, lw=1.5, label=name)
        ax.set_xlabel("share of the construction")
        ax.set_ylabel("loss")
        _scale_losses(ax, table["loss"])
        ax.legend(frameon=False, fontsize=8.5, title="to", alignment="left", loc="upper left", bbox_to_anchor=(1, 1))
        return figure


def draw_shifts(table: pd.DataFrame) -> Figure:
    """Loss over the value of each shift, one panel per kind of shift, one line per predictor."""
    kinds = list(dict.fromkeys(table["shift"]))
    predictors = list(dict.fromkeys(table["predictor"]))
    looks = dict(zip(predictors, _looks(predictors), strict=True))
    with style():
        figure = Figure(figsize=(8.6, 2.5 * -(-(len(kinds) + 1) // 3)), layout="constrained")
        axes = figure.subplots(-(-(len(kinds) + 1) // 3), 3, squeeze=False).ravel()
        for ax, kind in zip(axes, kinds, strict=False):
            part = table[table["shift"] == kind]
            named = part["value"].map(lambda value: isinstance(value, str)).all()
            for name, (color, line, dash) in looks.items():
                rows = part[part["predictor"] == name]
                ax.plot(rows["value"], rows["loss"], dash if named else line, color=color, ms=4, lw=1.4, label=name)
                if named:
                    ax.lines[-1].set_markersize(4 if dash == "o" else 14)
            ax.set_title(kind)
            _label_decades(ax, part["loss"])
            ax.tick_params(labelsize=8)
            if named:
                ax.margins(x=0.15)
                ax.tick_params(axis="x", labelsize=7)
        for ax in axes[len(kinds) :]:
            ax.set_axis_off()
        for ax in axes[: len(kinds) : 3]:
            ax.set_ylabel("loss")
        axes[len(kinds)].legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="center left")
        return figure


def _looks(predictors: list[str]) -> list[tuple[str, str, str]]:
    """Colour of each predictor, its line over numbers, and its mark over names.

    The model comes as dots, so that the lines that it follows show under them.
    """
    lines = {"gd": (CONTROL, "--", "_"), "gd++": (GREEN, "-", "_")}
    return [
        (ACCENT, "o", "o") if index == 0 else lines.get(name, (INK, ":", "_")) for index, name in enumerate(predictors)
    ]


def _label_decades(ax: Axes, losses: "pd.Series[float]") -> None:
    """A logarithmic axis with plain numbers, more of them where it covers little."""
    ax.set_yscale("log")
    few = losses.max() > 30 * losses.min()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _band(ax: Axes, x: "pd.Series[float]", rows: pd.DataFrame, y: str, color: str, label: str) -> None:
    ax.fill_between(x, rows[f"{y}_low"], rows[f"{y}_high"], color=color, alpha=0.2, lw=0)
    ax.plot(x, rows[y], "o-", color=color, ms=3, lw=1.5, label=label)


def _scale_losses(ax: Axes, losses: "pd.Series[float]") -> None:
    if losses.max() > LOG_FROM * losses.min() > 0:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
