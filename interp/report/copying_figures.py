"""Drawings of tables about copying. They compute nothing."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from interp.report.render import INK
from interp.report.style import ACCENT, CONTROL, GREEN, MUTED, style

MARKS = {"random_init": "s", "wrong": "^", "elsewhere": "D", "rest": "v"}
"""Of controls, by the last part of their columns' names."""
SOURCES = {"next": ACCENT, "previous": GREEN, "others": MUTED}
"""Colours of what a token may depend on; its own token, from the residual stream alone far above all, is not drawn."""


def draw_offsets(table: pd.DataFrame) -> Figure:
    """Attention by distance of an ``attention_by_offset`` table: a row per head, x and y tokens side by side."""
    heads = list(dict.fromkeys(zip(table["layer"], table["head"], strict=True)))
    with style():
        figure = Figure(figsize=(7.4, 0.7 + 1.5 * len(heads)), layout="constrained")
        axes = figure.subplots(len(heads), 2, sharex=True, sharey=True, squeeze=False)
        for line, (layer, head) in zip(axes, heads, strict=True):
            of_head = table[(table["layer"] == layer) & (table["head"] == head)]
            for ax, reader in zip(line, ("x", "y"), strict=True):
                rows = of_head[of_head["reader"] == reader]
                ax.bar(-rows["offset"], rows["value"], width=0.7, color=ACCENT)
                ax.vlines(-rows["offset"], rows["ci_low"], rows["ci_high"], color=INK, lw=1.2)
                ax.set_ylim(0, 1)
                if (layer, head) == heads[0]:
                    ax.set_title(f"{reader} tokens")
            line[0].set_ylabel(f"layer {layer}\nhead {head}")
        for ax in axes[-1]:
            ax.set_xticks(sorted(-table["offset"].unique()))
            ax.set_xlabel("position read, from the reader's own")
        return figure


def draw_evidence(table: pd.DataFrame, bars: Mapping[str, float], controls: Mapping[str, tuple[str, ...]]) -> Figure:
    """Dots with intervals, and controls beside them, of a ``copying_scores`` table: a row per way, a panel per part.

    ``bars`` says which parts, and where each one's bar is; ``controls`` names their controls.
    """
    names = [
        f"layer {layer} head {head}: {way}"
        for layer, head, way in table[["layer", "head", "way"]].itertuples(index=False)
    ]
    with style():
        figure = Figure(figsize=(8.6, 1.0 + 0.32 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(bars), sharey=True, squeeze=False)[0]
        for ax, (part, bar) in zip(axes, bars.items(), strict=True):
            ax.axvline(bar, color=INK, lw=0.8, ls=":", alpha=0.7)
            ax.axvline(0, color=INK, lw=0.6, alpha=0.5)
            rows = range(len(names))
            ax.hlines(rows, table[f"{part}_low"], table[f"{part}_high"], color=ACCENT, lw=2.5)
            ax.plot(table[part], rows, "o", color=ACCENT, ms=5.5, label="the head")
            for control in controls[part]:
                label = control.replace("_", " ")
                ax.plot(
                    table[f"{part}_{control}"], rows, MARKS[control], color=CONTROL, ms=4.5, alpha=0.85, label=label
                )
            ax.set_title(part)
            ax.set_xlim(right=1.08)
            # Under the axis, at a distance that does not depend on the number of rows.
            ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=2.5)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        return figure


def draw_formation(table: pd.DataFrame, between: tuple[int, int] | None) -> Figure:
    """Loss, and what x and y tokens depend on, over updates of a ``dependency_over_training`` table.

    Shaded: the checkpoints ``between`` which the dependency changes.
    """
    with style():
        figure = Figure(figsize=(8.6, 2.9), layout="constrained")
        left, *others = figure.subplots(1, 3)
        loss = table.drop_duplicates("update")
        left.fill_between(loss["update"], loss["loss_low"], loss["loss_high"], color=ACCENT, alpha=0.2, lw=0)
        left.plot(loss["update"], loss["loss"], "o-", color=ACCENT, ms=2.5, lw=1.5)
        left.set_title("loss")
        for ax, reader in zip(others, ("x", "y"), strict=True):
            for source, color in SOURCES.items():
                rows = table[(table["reader"] == reader) & (table["source"] == source)]
                ax.fill_between(rows["update"], rows["value_low"], rows["value_high"], color=color, alpha=0.2, lw=0)
                ax.plot(rows["update"], rows["value"], "o-", color=color, ms=2.5, lw=1.5, label=source)
            ax.set_title(f"{reader} tokens depend on")
        others[-1].legend(frameon=False, fontsize=8.5)
        for ax in (left, *others):
            if between is not None:
                ax.axvspan(*between, color=CONTROL, alpha=0.3, lw=0)
            ax.set_ylim(bottom=0)
            ax.set_xlabel("update")
            ax.tick_params(labelsize=8.5)
        return figure
