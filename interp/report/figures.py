"""Drawings of tidy tables. They compute nothing."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from interp.report.render import INK
from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style


def draw_losses(table: pd.DataFrame) -> Figure:
    """Dot and interval for each predictor of a ``predictor, loss, ci_low, ci_high`` table, the model accented."""
    with style():
        figure, ax = _one_axes(7.0, 0.6 + 0.34 * len(table))
        for row, (name, loss, low, high) in enumerate(
            table[["predictor", "loss", "ci_low", "ci_high"]].itertuples(index=False)
        ):
            color = ACCENT if name == "the model" else MUTED
            ax.plot([low, high], [row, row], color=color, lw=2.5, solid_capstyle="round")
            ax.plot([loss], [row], "o", color=color, ms=6)
        ax.set_yticks(range(len(table)), table["predictor"])
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.set_xlim(left=0)
        ax.set_xlabel("loss (half the mean squared error)")
        return figure


def draw_readouts(table: pd.DataFrame) -> Figure:
    """R2 against layer, one panel per target, of a ``layer, target, r2, ..., random_init, shuffled_targets`` table."""
    targets = list(dict.fromkeys(table["target"]))
    with style():
        figure = Figure(figsize=(2.5 * len(targets) + 1.2, 2.6), layout="constrained")
        axes = figure.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for ax, target in zip(axes, targets, strict=True):
            rows = table[table["target"] == target]
            ax.axhline(0, color=INK, lw=0.6, alpha=0.5)
            ax.fill_between(rows["layer"], rows["ci_low"], rows["ci_high"], color=ACCENT, alpha=0.25, lw=0)
            ax.plot(rows["layer"], rows["r2"], "o-", color=ACCENT, ms=4.5, label="the model")
            for control, marker in (("random_init", "s"), ("shuffled_targets", "^")):
                label = control.replace("_", " ")
                ax.plot(
                    rows["layer"], rows[control], marker + "--", color=CONTROL, ms=3.5, lw=1, alpha=0.8, label=label
                )
            ax.set_title(target)
            ax.set_xlabel("layer")
            ax.set_xticks(_ticks(rows["layer"]))
            ax.set_ylim(-0.15, 1.05)
        axes[0].set_ylabel("held-out R2")
        axes[-1].legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def draw_match(table: pd.DataFrame) -> Figure:
    """Heat maps layer by step of similarity, one row per solver, the step chosen for each layer boxed.

    Solvers without steps share the last row, one column each.
    """
    counts = table.groupby("solver", sort=False)["step"].nunique()
    stepwise = [str(solver) for solver in counts.index[counts > 1]]
    at_once = [str(solver) for solver in counts.index[counts == 1]]
    n_rows, n_layers = len(stepwise) + bool(at_once), table["layer"].nunique()
    with style():
        figure = Figure(figsize=(8.6, n_rows * (0.85 + 0.27 * n_layers)), layout="constrained")
        axes = figure.subplots(n_rows, 1, squeeze=False)[:, 0]
        for ax, solver in zip(axes, stepwise, strict=False):
            rows = table[table["solver"] == solver]
            _heat(ax, rows, "step")
            ax.set_title(f"{solver}  ({rows['hyperparameters'].iloc[0]})", loc="left")
        if at_once:
            _heat(axes[-1], table[table["solver"].isin(at_once)], "solver")
            axes[-1].set_title("one-shot solvers and null predictors", loc="left")
        figure.colorbar(axes[0].collections[0], ax=axes, label="similarity", shrink=0.6, aspect=30)
        return figure


def _heat(ax: Axes, rows: pd.DataFrame, across: str) -> None:
    grid = rows.pivot(index="layer", columns=across, values="similarity")
    grid = grid[list(dict.fromkeys(rows[across]))]
    sns.heatmap(grid, vmin=0, vmax=1, cmap="viridis", ax=ax, cbar=False)
    if across == "step":
        for layer, step in rows.loc[rows["best"], ["layer", "step"]].itertuples(index=False):
            corner = (list(grid.columns).index(step), list(grid.index).index(layer))
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, ec="#ff5a36", lw=1.8))
    ax.set_xlabel(across if across == "step" else "")
    ax.set_ylabel("layer")
    ax.tick_params(labelsize=8, rotation=0)


def draw_dependency(table: pd.DataFrame) -> Figure:
    """Heat maps of dependency, output position by input token, one panel per layer of a tidy table."""
    layers = sorted(table["layer"].unique())
    with style():
        figure = Figure(figsize=(2.9 * len(layers) + 0.5, 2.9), layout="constrained")
        axes = figure.subplots(1, len(layers), squeeze=False)[0]
        for ax, layer in zip(axes, layers, strict=True):
            grid = table[table["layer"] == layer].pivot(index="output", columns="input", values="dependency")
            sns.heatmap(grid, vmin=0, cmap="mako", ax=ax, square=True, cbar_kws={"shrink": 0.7})
            ax.set_title(f"after layer {layer}")
            ax.set_xlabel("input token")
            ax.set_ylabel("output position")
            ax.tick_params(labelsize=7.5, rotation=0)
        return figure


def draw_ablation(table: pd.DataFrame) -> Figure:
    """Rise of the loss per head and intervention, with intervals, of a table from ``ablation_effects``."""
    heads = list(dict.fromkeys(zip(table["layer"], table["head"], strict=True)))
    colors = {"zero": ACCENT, "mean": GREEN, "random": CONTROL}
    with style():
        figure, ax = _one_axes(7.0, 0.8 + 0.42 * len(heads))
        for intervention, shift in (("zero", -0.22), ("mean", 0.0), ("random", 0.22)):
            rows = table[table["intervention"] == intervention]
            for (layer, head), rise, low, high in zip(
                zip(rows["layer"], rows["head"], strict=True),
                rows["increase"],
                rows["ci_low"],
                rows["ci_high"],
                strict=True,
            ):
                y = heads.index((layer, head)) + shift
                ax.plot([low, high], [y, y], color=colors[intervention], lw=2, solid_capstyle="round")
                ax.plot([rise], [y], "o", color=colors[intervention], ms=4.5)
            ax.plot([], [], "o-", color=colors[intervention], label=intervention)
        ax.axvline(0, color=INK, lw=0.6, alpha=0.5)
        ax.set_yticks(range(len(heads)), [f"layer {layer} head {head}" for layer, head in heads])
        ax.set_ylim(len(heads) - 0.5, -0.5)
        ax.set_xlabel("rise of the loss")
        ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def draw_products(table: pd.DataFrame) -> Figure:
    """Matrices of a ``layer, product, weights, row, column, value`` table: a row per layer, weights side by side.

    The matrices of one layer and product share their colours.
    """
    layers, products, weights = (list(dict.fromkeys(table[name])) for name in ("layer", "product", "weights"))
    with style():
        figure = Figure(figsize=(8.6, 0.4 + 1.85 * len(layers)), layout="constrained")
        axes = figure.subplots(len(layers), len(products) * len(weights), squeeze=False)
        for line, layer in zip(axes, layers, strict=True):
            for i, product in enumerate(products):
                part = table[(table["layer"] == layer) & (table["product"] == product)]
                limit = float(part["value"].abs().max()) or 1.0
                group = line[i * len(weights) : (i + 1) * len(weights)]
                for ax, which in zip(group, weights, strict=True):
                    grid = part[part["weights"] == which].pivot(index="row", columns="column", values="value")
                    image = ax.imshow(grid, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
                    ax.set_xticks([])
                    ax.set_yticks([])
                    ax.spines[:].set_visible(True)
                    if layer == layers[0]:
                        ax.set_title(f"{product}\n{which}", fontsize=9)
                figure.colorbar(image, ax=group, shrink=0.75, aspect=14).ax.tick_params(labelsize=7.5)
            if len(layers) > 1:
                line[0].set_ylabel(f"layer {layer}")
        return figure


def _one_axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _ticks(layers: "pd.Series[int]") -> list[int]:
    unique = sorted(set(layers))
    return unique[:: max(1, len(unique) // 6)]
