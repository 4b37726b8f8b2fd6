"""Drawings of tables about language models. They compute nothing."""

from collections.abc import Mapping
from math import isfinite, log

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from interp.report.render import INK
from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style

KIND_COLORS = {"previous-token": GREEN, "duplicate-token": MUTED, "induction": ACCENT}
MOST_LABELS = 20
"""Layers or heads whose ticks are labelled; of more, as many of them."""


def draw_positions(positions: pd.DataFrame, d_vocab: int) -> Figure:
    """Loss at every position of a table from `position_losses`; shaded where tokens can be looked up."""
    with style():
        figure = Figure(figsize=(8.2, 2.7), layout="constrained")
        ax = figure.subplots()
        ax.fill_between(
            positions["position"], positions["ci_low"], positions["ci_high"], color=ACCENT, alpha=0.25, lw=0
        )
        ax.plot(positions["position"], positions["loss"], color=ACCENT, lw=1.5, label="the model")
        ax.axhline(log(d_vocab), color=CONTROL, lw=1.2, ls="--", label="guessing")
        for start, stop in _stretches(positions):
            ax.axvspan(start - 0.5, stop + 0.5, color=MUTED, alpha=0.18, lw=0)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("position of the token that is predicted")
        ax.set_ylabel("loss (nats)")
        ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _stretches(positions: pd.DataFrame) -> list[tuple[int, int]]:
    """Runs of positions at which every sequence's token could be looked up."""
    repeated = positions.loc[positions["repeated"] == 1, "position"].tolist()
    starts = [position for position in repeated if position - 1 not in repeated]
    return [(start, next(p for p in repeated if p >= start and p + 1 not in repeated)) for start in starts]


def draw_scores(scores: pd.DataFrame, labels: pd.DataFrame) -> Figure:
    """Heat maps layer by head, one for each score that gives labels; heads that bear its label are marked."""
    n_layers, n_heads = scores["layer"].max(), scores["head"].max() + 1
    with style():
        figure = Figure(figsize=(8.6, 1.1 + min(6.0, 0.3 * n_layers)), layout="constrained")
        axes = figure.subplots(1, len(KIND_COLORS))
        for ax, kind in zip(axes, KIND_COLORS, strict=True):
            grid = scores[scores["score"] == kind].pivot(index="layer", columns="head", values="value")
            sns.heatmap(grid, vmin=0, vmax=1, cmap="mako", ax=ax, cbar=ax is axes[-1], cbar_kws={"label": "attention"})
            for layer, head in labels.loc[labels["label"] == kind, ["layer", "head"]].itertuples(index=False):
                ax.plot(head + 0.5, layer - 0.5, "o", mfc="none", mec="#ff5a36", mew=1.6, ms=8)
            ax.set_title(kind)
            _few_ticks(ax, n_layers, n_heads)
        return figure


def _few_ticks(ax: Axes, n_layers: int, n_heads: int) -> None:
    heads, layers = range(0, n_heads, -(-n_heads // 8)), range(0, n_layers, -(-n_layers // MOST_LABELS))
    ax.set_xticks([head + 0.5 for head in heads], [str(head) for head in heads])
    ax.set_yticks([layer + 0.5 for layer in layers], [str(layer + 1) for layer in layers])
    ax.tick_params(labelsize=8, rotation=0)


def draw_copying(copying: pd.DataFrame, labels: pd.DataFrame) -> Figure:
    """Copying scores of all OV circuits over the null's range, the heads with labels coloured."""
    table = copying.merge(labels[["layer", "head", "label"]], on=["layer", "head"])
    with style():
        figure = Figure(figsize=(8.2, 2.4), layout="constrained")
        ax = figure.subplots()
        low, high = copying["null_low"].iloc[0], copying["null_high"].iloc[0]
        ax.axhspan(low, high, color=CONTROL, alpha=0.18, lw=0, label="mismatched circuits, 95 %")
        ax.axhline(0, color=INK, lw=0.6, alpha=0.5)
        for name, rows in table.groupby("label", sort=False):
            label = str(name)
            ax.plot(rows.index, rows["copying"], "o", ms=5, color=KIND_COLORS.get(label, MUTED), label=label)
        boundaries = table.index[table["layer"].diff() > 0]
        for boundary in boundaries:
            ax.axvline(boundary - 0.5, color=INK, lw=0.5, alpha=0.3)
        firsts = [0, *boundaries]
        shown = firsts[:: -(-len(firsts) // MOST_LABELS)]
        ax.set_xticks(shown, [f"layer {table['layer'].iloc[first]}" for first in shown], ha="left", fontsize=8)
        ax.set_ylim(-1.05, 1.05)
        ax.set_ylabel("copying score")
        ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def draw_ablations(table: pd.DataFrame) -> Figure:
    """Change of the loss on first pass and repeats, with intervals, and the range of the control, of each set."""
    rows = table[table["mode"] == "zero"]
    names = list(dict.fromkeys(zip(rows["set"], rows["heads"], strict=True)))
    with style():
        figure = Figure(figsize=(8.2, 0.9 + 0.4 * len(names)), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, part in zip(axes, ("repeat", "first"), strict=True):
            for row in rows[rows["part"] == part].to_dict("records"):
                y = names.index((row["set"], row["heads"]))
                if isfinite(row["random_low"]):
                    ax.plot([row["random_low"], row["random_high"]], [y + 0.15] * 2, color=CONTROL, lw=2)
                    ax.plot([row["random"]], [y + 0.15], "o", color=CONTROL, ms=4)
                ax.plot([row["ci_low"], row["ci_high"]], [y - 0.15] * 2, color=ACCENT, lw=2)
                ax.plot([row["change"]], [y - 0.15], "o", color=ACCENT, ms=4)
            ax.axvline(0, color=INK, lw=0.6, alpha=0.5)
            ax.set_title("on repeats" if part == "repeat" else "on the first pass")
            ax.set_xlabel("change of the loss (nats)")
        axes[0].set_yticks(range(len(names)), [f"{kind}: {_short(heads)}" for kind, heads in names], fontsize=8.5)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        handles = [
            mpl.lines.Line2D([], [], color=color, marker="o", ms=4, label=name)
            for color, name in ((ACCENT, "without these heads"), (CONTROL, "control"))
        ]
        axes[1].legend(handles=handles, frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _short(heads: str) -> str:
    names = heads.split()
    return heads if len(names) <= 4 else f"{' '.join(names[:3])} and {len(names) - 3} more"


def draw_formation(table: pd.DataFrame, crossings: Mapping[str, float]) -> Figure:
    """Losses, and the highest score of each kind among all heads, over updates of a table of `heads_over_training`.

    ``crossings`` are the updates at which curves changed, by measure; they are drawn as lines.
    """
    table = table[table["update"] > 0]
    with style():
        figure = Figure(figsize=(8.4, 2.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        for part, color in (("first", CONTROL), ("repeat", ACCENT)):
            rows = table[table["measure"] == f"loss on {part}"]
            _band(left, rows, color, "first pass" if part == "first" else "repeats")
        for kind in ("previous-token", "induction"):
            rows = table[table["measure"] == kind]
            best = rows.loc[rows.groupby("update")["value"].idxmax()]
            _band(right, best, KIND_COLORS[kind], f"best {kind} head")
        for ax in (left, right):
            for measure, update in crossings.items():
                color = KIND_COLORS.get(measure, ACCENT if measure == "loss on repeat" else MUTED)
                ax.axvline(update, color=color, lw=1.0, ls=":")
            ax.set_xscale("log")
            ax.set_xlabel("update")
            ax.legend(frameon=False, fontsize=8.5)
        left.set_ylabel("loss (nats)")
        left.set_ylim(bottom=0)
        right.set_ylabel("score")
        right.set_ylim(0, 1.02)
        return figure


def _band(ax: Axes, rows: pd.DataFrame, color: str, label: str) -> None:
    ax.fill_between(rows["update"], rows["low"], rows["high"], color=color, alpha=0.2, lw=0)
    ax.plot(rows["update"], rows["value"], "o-", color=color, ms=2.5, lw=1.5, label=label)
