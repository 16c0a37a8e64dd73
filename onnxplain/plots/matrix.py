"""Tables of numbers as coloured squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.plots.canvas import axes_of, colour_map, figure_of, printable, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import FloatArray

__all__ = ["draw_matrix"]

_GREY = "#d9d9d9"


def draw_matrix(
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: float,
    high: float,
    cmap: str = "RdBu_r",
    texts: Sequence[Sequence[str]] | None = None,
    ends: tuple[str, str] = ("", ""),
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw a table, a coloured square for each number; grey where there is none.

    Parameters
    ----------
    values
        (rows, columns): NaN for no number.
    rows, columns
        What to call them.
    low, high
        The numbers that get the ends of the colours.
    cmap
        Name of the colours.
    texts
        What to write into the squares; the numbers themselves by default.
    ends
        What the ends of the colours mean.
    title
        Above the picture.
    ax
        Axes to draw on; a new figure otherwise.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    height, width = values.shape
    side = 0.62 if texts is None else 0.9
    figure, ax = axes_of(ax, 2.6 + side * width, 1.8 + 0.42 * height)
    colours, scale = colour_map(cmap), Normalize(low, high)
    painted = np.asarray(colours(scale(np.nan_to_num(values))))
    painted[np.isnan(values)] = np.asarray([0.85, 0.85, 0.85, 1.0])
    ax.imshow(painted, aspect="auto", interpolation="nearest")
    for i in range(height):
        for k in range(width):
            text = (
                texts[i][k] if texts is not None else "" if np.isnan(values[i, k]) else f"{values[i, k]:.2f}"
            )
            dark = float(painted[i, k, :3] @ [0.299, 0.587, 0.114]) < 0.5
            ax.text(k, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    ax.set_xticks(range(width), printable(columns), rotation=40, ha="right", fontsize=8, parse_math=False)
    ax.set_yticks(range(height), printable(rows), fontsize=8, parse_math=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if any(ends):
        bar = figure_of(ax).colorbar(ScalarMappable(scale, colours), ax=ax, pad=0.02, aspect=25)
        bar.set_ticks([low, high], labels=[f"{low:g}\n{ends[0]}", f"{high:g}\n{ends[1]}"])
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=7)
    write_title(ax, title)
    return figure
