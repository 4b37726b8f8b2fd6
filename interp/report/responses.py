"""Drawing of spectral responses. It computes nothing."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from interp.matching.match_response import THE_MODEL
from interp.report.render import INK
from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style

COLORS = {"gd": CONTROL, "gd++": GREEN, "newton": "#8e44ad", "ridge": MUTED, "ols": "#c9a227"}
OTHERS = ("#17a2a2", "#b85c8a", "#7a6652", "#4d6bd1")
"""Of solvers without a colour of their own, in turn."""
LINES = {"ridge": "--", "ols": ":"}


def draw_responses(table: pd.DataFrame) -> Figure:
    """Share of the solution against eigenvalue: a row of panels per prefix, a column per layer.

    Of a ``solver, step, layer, n_examples, eigenvalue, share, ci_low, ci_high`` table.
    """
    layers, lengths = sorted(table["layer"].unique()), sorted(table["n_examples"].unique())
    solvers = [name for name in dict.fromkeys(table["solver"]) if name != THE_MODEL]
    spare = iter(OTHERS * len(solvers))
    colors = {name: COLORS.get(name) or next(spare) for name in solvers}
    with style():
        figure = Figure(figsize=(1.0 + 1.75 * len(layers), 0.7 + 1.9 * len(lengths)), layout="constrained")
        axes = figure.subplots(len(lengths), len(layers), sharey=True, sharex="row", squeeze=False)
        for line, length in zip(axes, lengths, strict=True):
            for ax, layer in zip(line, layers, strict=True):
                panel = table[(table["layer"] == layer) & (table["n_examples"] == length)]
                for name in solvers:
                    rows = panel[panel["solver"] == name]
                    ax.plot(
                        rows["eigenvalue"], rows["share"], LINES.get(name, "-"), color=colors[name], lw=1.4, label=name
                    )
                rows = panel[panel["solver"] == THE_MODEL]
                errors = (rows["share"] - rows["ci_low"], rows["ci_high"] - rows["share"])
                ax.errorbar(
                    rows["eigenvalue"],
                    rows["share"],
                    yerr=[part.clip(lower=0) for part in errors],
                    fmt="o",
                    color=ACCENT,
                    ms=4,
                    lw=1.4,
                    label=THE_MODEL,
                )
                ax.axhline(0, color=INK, lw=0.5, alpha=0.5)
                ax.axhline(1, color=INK, lw=0.5, alpha=0.5)
                ax.set_xscale("log")
                ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
                ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ax.xaxis.set_minor_formatter(NullFormatter())
                ax.set_ylim(-0.25, 1.35)
                ax.tick_params(labelsize=7.5)
                if length == lengths[0]:
                    ax.set_title(f"layer {layer}", fontsize=9.5)
            line[0].set_ylabel(f"share solved\n{length} examples", fontsize=9)
        for ax in axes[-1]:
            ax.set_xlabel("eigenvalue", fontsize=9)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
        return figure
