"""One row in one strip: what pushes its score up, against what pushes it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxplain.plots.canvas import AGAINST, FOR, axes_of, one_line, write_title
from onnxplain.plots.tables.waterfall import steps_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain.plots.tables.view import TableView

__all__ = ["draw_force"]

MOST = 12
#: Least distance between two names, as a part of the strip's width.
APART = 0.036


def draw_force(view: TableView, sample: int, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """Draw what pushes up (red, from the left) and down (blue, from the right); they meet at the score.

    Parameters and result are those of :func:`onnxplain.plots.tables.draw_table`.
    """
    start, steps = steps_of(view, sample, MOST)
    score = float(view.score[sample])
    figure, ax = axes_of(ax, 10.0, 3.4 + (0.3 if title else 0.0))
    up = [(text, length) for text, length in reversed(steps) if length > 0]
    down = [(text, length) for text, length in reversed(steps) if length < 0]
    low, high = score - sum(v for _, v in up), score - sum(v for _, v in down)
    reach = (high - low) or 1.0
    places: list[tuple[float, str, str]] = []
    for pushes, colour in ((up, FOR), (down, AGAINST)):
        at = score
        for text, length in pushes:
            left = at - length if length > 0 else at
            ax.barh(0.0, abs(length), left=left, height=1.0, align="edge", color=colour)
            ax.plot([left, left], [0, 1], color="white", linewidth=0.8)
            places.append((left + abs(length) / 2, f"{text}  ({length:+.2g})", colour))
            at -= length
    _name(ax, places, low - 0.02 * reach, high + 0.02 * reach)
    ax.plot([score, score], [-0.1, 1.45], color="#222222", linewidth=1.2)
    ax.text(score, 1.55, f"score {score:.4g}", ha="center", va="bottom", fontsize=9, fontweight="bold")
    if low <= start <= high:
        ax.plot([start, start], [-0.1, 1.15], color="#444444", linewidth=0.9, linestyle=(0, (3, 3)))
    ax.set_xlim(low - 0.04 * reach, high + 0.04 * reach)
    ax.set_ylim(-4.6, 2.3)
    ax.xaxis.set_visible(False)
    ax.yaxis.set_visible(False)
    for side in ax.spines.values():
        side.set_visible(False)
    what = "baseline" if view.base is not None else "score less all of these"
    write_title(ax, title)
    at, aligned = (low, "left") if score - low > high - score else (high, "right")
    ax.text(at, 1.55, f"dashed: {start:.4g} ({what})", fontsize=8, color="#444444", va="bottom", ha=aligned)
    return figure


def _name(ax: Axes, places: list[tuple[float, str, str]], low: float, high: float) -> None:
    """Write names below the strip, slanted and apart, each with a line to its part."""
    places = sorted(places)
    gap = APART * (high - low)
    wanted = [at for at, _, _ in places]
    for i in range(1, len(wanted)):
        wanted[i] = max(wanted[i], wanted[i - 1] + gap)
    over = max(0.0, wanted[-1] - high) if wanted else 0.0
    for i in range(len(wanted) - 1, -1, -1):
        limit = high if i == len(wanted) - 1 else wanted[i + 1] - gap
        wanted[i] = min(wanted[i], limit) if over else wanted[i]
    for (at, text, colour), x in zip(places, wanted, strict=True):
        ax.plot([at, x], [-0.08, -0.5], color=colour, linewidth=0.7)
        ax.text(
            x, -0.6, one_line(text), rotation=38, rotation_mode="anchor", ha="right", va="top", fontsize=7.5,
            color=colour, parse_math=False,
        )  # fmt: skip
