"""How one row's score comes about, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.plots.canvas import AGAINST, FOR, axes_of, printable, write_title
from onnxplain.plots.tables.view import cell_text, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain.plots.tables.view import TableView

__all__ = ["draw_waterfall", "steps_of"]

#: A gap of less than this part of all attributions is rounding.
_GAP = 1e-3


def steps_of(view: TableView, sample: int, most: int) -> tuple[float, list[tuple[str, float]]]:
    """Return where a row's score starts, and (text, attribution) from the smallest to the largest.

    What is missing from the sum (other inputs, rounding, a method that is not exact) is a step of its own.
    """
    values, data = view.values[sample], view.data[sample]
    order = np.argsort(-np.abs(values), kind="stable")
    kept, rest = (order[: most - 1], order[most - 1 :]) if len(order) > most else (order, order[:0])
    steps = [
        (f"{shortened(view.names[i])} = {shortened(cell_text(data[i]), 24)}", float(values[i])) for i in kept
    ]
    if rest.size:
        steps.append((f"{rest.size} others together", float(values[rest].sum())))
    score = float(view.score[sample])
    start = score - float(values.sum()) if view.base is None else float(view.base[sample])
    gap = score - start - float(values.sum())
    if abs(gap) > _GAP * max(float(np.abs(values).sum()), abs(score - start)):
        steps.append(("not shared out", gap))
    return start, steps[::-1]


def draw_waterfall(
    view: TableView, sample: int, *, most: int = 20, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw one row's score: it starts at the bottom, and each bar takes it on; the strongest is on top.

    Parameters and result are those of :func:`onnxplain.plots.tables.draw_table`.
    """
    start, steps = steps_of(view, sample, most)
    score = float(view.score[sample])
    figure, ax = axes_of(ax, 7.2, 1.15 + 0.27 * len(steps) + (0.3 if title else 0.0))
    ends = np.cumsum([start, *(length for _, length in steps)])
    low, high = float(ends.min()), float(ends.max())
    reach = (high - low) or abs(score) or 1.0
    for place, (_, length) in enumerate(steps):
        ax.barh(place, length, left=ends[place], color=FOR if length > 0 else AGAINST, height=0.72)
        ax.plot([ends[place + 1]] * 2, [place - 0.36, place + 1.36], color="#999999", linewidth=0.7, zorder=0)
        right = max(ends[place], ends[place + 1])
        left = min(ends[place], ends[place + 1])
        on_right = length >= 0
        ax.annotate(
            f"{length:+.3g}",
            (right if on_right else left, place),
            xytext=(4 if on_right else -4, 0),
            textcoords="offset points",
            ha="left" if on_right else "right",
            va="center",
            fontsize=7.5,
            color="#444444",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    for at in (start, score):
        ax.axvline(at, color="#444444", linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    ax.set_yticks(range(len(steps)), printable(text for text, _ in steps), parse_math=False, fontsize=8)
    ax.set_ylim(-0.6, len(steps) - 0.4)
    ax.set_xlim(low - 0.17 * reach, high + 0.17 * reach)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8)
    what = "score of the baseline" if view.base is not None else "score less all of these"
    ax.set_xlabel(f"from {start:.4g} ({what}, bottom) to the score, {score:.4g} (top)", fontsize=8)
    write_title(ax, title)
    return figure
