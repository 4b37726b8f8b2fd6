"""Tidy tables of panels, and how they are drawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from torch import Tensor

from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style

COLUMNS = ("panel", "series", "seed", "x", "y")
COLORS = {
    "trained": ACCENT,
    "linear attention": ACCENT,
    "gd": CONTROL,
    "gd++": GREEN,
    "gd++ per step": "#8e63b5",
    "gd per step": "#b58a2b",
    "mlp + gd": CONTROL,
    "the wave": MUTED,
    "interpolated": "#c2417f",
    "zero": MUTED,
    "the model": ACCENT,
    "transformer": ACCENT,
    "newton": "#8e63b5",
    "ols": "#4c5a67",
}
"""The same series has the same colour in every figure; others take what is left of the palette."""
OTHERS = ("#17a2a2", "#7a5230", "#4c5a67", "#d4a017", "#a83232")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """How one panel of the table is drawn: lines of y over x, one for each series, with the spread over seeds."""

    name: str
    x: str
    """Label of the x axis."""
    y: str
    """Label of the y axis."""
    x_scale: Literal["linear", "log", "symlog", "categories"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    y_limits: tuple[float | None, float | None] = (None, None)
    marks: Mapping[str, float] = field(default_factory=dict)
    """Horizontal lines, by name: constants to compare with."""
    matrix: bool = False
    """Whether the panel is a matrix: x and y are columns and rows, and the column ``value`` its entries."""
    heat: bool = False
    """Whether it is a heat map of values from 0 to 1: as a matrix, but with x of any kind, and the cells of the rows
    whose column ``boxed`` is true in a box."""


def rows(panel: str, frame: pd.DataFrame, *, x: str, y: str, series: str | None = None) -> pd.DataFrame:
    """A part of a figure's table: columns of ``frame`` under the common names.

    ``series`` names the column of the series, unless ``frame`` has one called series; a column seed is kept, and
    set to "all" where there is none.
    """
    part = frame.rename(columns={x: "x", y: "y", **({series: "series"} if series else {})})
    part = part.assign(panel=panel)
    if "seed" not in part:
        part["seed"] = "all"
    return part[list(COLUMNS)]


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Parts of a figure's table as one; empty ones, which have no types to speak of, are left out."""
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def matrix_rows(panel: str, matrix: Float[Tensor, "row column"]) -> pd.DataFrame:
    """A matrix as part of a figure's table: x and y are column and row, value the entry."""
    cells = [
        (panel, "value", "0", x, y, value) for y, line in enumerate(matrix.tolist()) for x, value in enumerate(line)
    ]
    return pd.DataFrame(cells, columns=[*COLUMNS, "value"])


def draw_panels(table: pd.DataFrame, panels: Sequence[Panel], *, per_row: int = 3) -> Figure:
    """All panels of a table, in order."""
    n_rows = -(-len(panels) // per_row)
    columns = min(per_row, len(panels))
    with style(ink="#1c2126"):
        figure = Figure(figsize=(4.1 * columns, 3.3 * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            part = table[table["panel"] == panel.name]
            if panel.matrix:
                _draw_matrix(ax, part)
            elif panel.heat:
                _draw_heat(ax, part)
            else:
                _draw_lines(ax, part, panel)
            ax.set_title(panel.name)
            ax.set_xlabel(panel.x)
            ax.set_ylabel(panel.y)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        return figure


def _draw_lines(ax: Axes, part: pd.DataFrame, panel: Panel) -> None:
    spare, layers = iter(OTHERS), _layer_colors(part)
    for series, points in part.groupby("series", sort=False):
        color = COLORS.get(str(series)) or layers.get(str(series)) or next(spare, "#1c2126")
        categories = panel.x_scale == "categories"
        by_x = points.groupby("x", sort=not categories)["y"]
        mean = by_x.mean()
        places = range(len(mean)) if categories else mean.index
        if str(series) == "examples":
            ax.plot(points["x"], points["y"], "o", color="#1c2126", ms=4, label="examples")
            continue
        dashed = str(series) in ("gd", "gd++", "gd per step", "gd++ per step", "zero")
        ax.plot(
            places,
            mean.to_numpy(),
            color=color,
            lw=1.8,
            ls="" if categories else "--" if dashed else "-",
            marker="o" if len(mean) <= 12 else "",
            ms=3.5,
            label=str(series),
        )
        if (by_x.count() > 1).any():
            spread = (places, by_x.min().to_numpy(), by_x.max().to_numpy())
            if categories:
                ax.vlines(*spread, color=color, lw=4, alpha=0.25)
            else:
                ax.fill_between(*spread, color=color, alpha=0.2, lw=0)
        if categories:
            ax.set_xticks(list(places), [str(value) for value in mean.index])
            ax.set_xlim(-0.5, len(mean) - 0.5)
    for name, value in panel.marks.items():
        ax.axhline(value, lw=1, ls=":", color=COLORS.get(name, "#1c2126"), label=name)
    if panel.x_scale == "symlog":
        ax.set_xscale("symlog", linthresh=1)
    elif panel.x_scale == "log":
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        if high < 100 * low:  # so few decades need ticks within them, and no powers of ten
            ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
            ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yscale(panel.y_scale)
    ax.set_ylim(*panel.y_limits)
    if len(part) or panel.marks:
        ax.legend(frameon=False, fontsize=8)


def _layer_colors(part: pd.DataFrame) -> dict[str, str]:
    """From light to dark, of the series ``layer 0``, ``layer 1``, ..."""
    layers = [str(series) for series in dict.fromkeys(part["series"]) if str(series).startswith("layer ")]
    return dict(zip(layers, sns.color_palette("flare", len(layers)).as_hex(), strict=True))


def _draw_matrix(ax: Axes, part: pd.DataFrame) -> None:
    # Beside panels of other numbers the columns of a table are floats; rows and columns are counted.
    grid = part.astype({"x": int, "y": int}).pivot(index="y", columns="x", values="value")
    bound = float(grid.abs().to_numpy().max()) or 1.0
    sns.heatmap(
        grid,
        ax=ax,
        cmap="RdBu_r",
        vmin=-bound,
        vmax=bound,
        square=True,
        cbar_kws={"shrink": 0.7},
        xticklabels=2,
        yticklabels=2,
    )
    ax.tick_params(labelsize=7.5, rotation=0)


def _draw_heat(ax: Axes, part: pd.DataFrame) -> None:
    grid = part.astype({"x": int, "y": int}).pivot(index="y", columns="x", values="value")
    sns.heatmap(grid, ax=ax, cmap="viridis", vmin=0, vmax=1, cbar_kws={"shrink": 0.7}, rasterized=True)
    boxed = part[part["boxed"].eq(True)].astype({"x": int, "y": int})
    for x, y in boxed[["x", "y"]].itertuples(index=False):
        corner = (list(grid.columns).index(x), list(grid.index).index(y))
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, ec=CONTROL, lw=1.8))
    ax.tick_params(labelsize=7.5)
    ax.tick_params(axis="y", rotation=0)
