"""Time series and sound: a line, and behind it the colour of each moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.plots.canvas import (
    INK,
    add_scale,
    figure_of,
    limit_of,
    new_figure,
    one_line,
    paint,
    printable,
    write_title,
)
from onnxplain.plots.kinds import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray

__all__ = ["draw_series"]

MOST_COLUMNS = 1500
MOST_PANELS = 12


def draw_series(
    values: Array,
    sample: Array,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    percentile: float = 99.0,
) -> Figure:
    """Draw one panel per channel, time from left to right.

    Parameters and result are those of :func:`onnxplain.plots.draw`; ``sample`` is (L,), (C, L) or
    (L, C), the longer axis being time. A column of colours that stands for several moments shows the
    one with the largest absolute value.

    Raises
    ------
    DataInputError
        If there are more than 12 channels, or the labels do not fit them.
    """
    heat, lines = _by_channel(values), _by_channel(sample)
    if heat.ndim != 2 or len(lines) > MOST_PANELS:
        raise DataInputError(
            f"a series of shape {sample.shape} is more than {MOST_PANELS} lines over time; use kind='image'"
        )
    texts = printable(names(labels, len(lines), "channels")) if labels is not None else None
    if ax is not None:
        summed = heat.sum(axis=0)
        _panel(ax, summed, lines, limit_of(summed, percentile), cmap)
        write_title(ax, title)
        return figure_of(ax)
    limit = limit_of(heat, percentile)
    each = 2.4 if len(lines) == 1 else 1.5
    figure = new_figure(8.4, each * len(lines) + (0.6 if title else 0.3))
    panels = list(figure.subplots(len(lines), 1, sharex=True, squeeze=False)[:, 0])
    for place, panel in enumerate(panels):
        _panel(panel, heat[place], lines[place : place + 1], limit, cmap)
        if texts is not None:
            panel.set_ylabel(texts[place], fontsize=8, parse_math=False)
        elif len(lines) > 1:
            panel.set_ylabel(f"channel {place}", fontsize=8)
    panels[-1].set_xlabel("step", fontsize=8)
    add_scale(figure, panels, limit, cmap, pad=0.01, aspect=24)
    if title:
        figure.suptitle(one_line(title), fontsize=11, parse_math=False)
    return figure


def _by_channel(array: Array) -> FloatArray:
    wide = np.asarray(array, np.float64)
    if wide.ndim == 1:
        return wide[None]
    if wide.ndim == 3 and 1 in wide.shape:
        wide = wide.squeeze(axis=wide.shape.index(1))
    return wide.T if wide.ndim == 2 and wide.shape[0] > wide.shape[1] else wide


def _panel(ax: Axes, heat: FloatArray, lines: FloatArray, limit: float, cmap: str | Colormap | None) -> None:
    length = heat.size
    finite = lines[np.isfinite(lines)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.08 * abs(high) or 0.5
    low, high = low - room, high + room
    ax.imshow(
        paint(_strongest(heat), limit, cmap)[None],
        extent=(-0.5, length - 0.5, low, high),
        aspect="auto",
        interpolation="nearest",
    )
    style: dict[str, Any] = {"linewidth": 1.0} if length <= 2000 else {"linewidth": 0.5, "alpha": 0.6}
    for line in lines:
        ax.plot(np.arange(length), line, color=INK, **style)
    ax.set_xlim(-0.5, length - 0.5)
    ax.set_ylim(low, high)
    ax.tick_params(labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _strongest(heat: FloatArray) -> FloatArray:
    """Shorten to at most 1500 columns; of the moments in a column the strongest remains."""
    if heat.size <= MOST_COLUMNS:
        return heat
    size = -(-heat.size // MOST_COLUMNS)
    columns = np.pad(heat, (0, -heat.size % size)).reshape(-1, size)
    return np.asarray(np.take_along_axis(columns, np.abs(columns).argmax(axis=1)[:, None], axis=1)[:, 0])
