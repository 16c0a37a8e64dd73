"""Values of samples along a line, with their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.plots.canvas import AGAINST, FOR, axes_of, one_line, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import FloatArray

__all__ = ["draw_strip"]

_GOLDEN = (5**0.5 - 1) / 2


def draw_strip(
    values: FloatArray,
    mean: float,
    interval: tuple[float, float] | None = None,
    *,
    label: str,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw a dot for each value, a line at the mean, and a band where it lies.

    Parameters
    ----------
    values
        (n,), finite.
    mean
        Their mean.
    interval
        Of the mean.
    label
        What they are.
    title
        Above the picture.
    ax
        Axes to draw on; a new figure otherwise.
    """
    figure, ax = axes_of(ax, 5.6, 1.7 + (0.3 if title else 0.0))
    heights = (np.arange(len(values)) * _GOLDEN + 0.5) % 1  # so that neighbours lie apart
    ax.scatter(
        values, heights, s=14, color=AGAINST, alpha=max(0.15, min(0.7, 30 / len(values))), linewidths=0
    )
    if interval is not None and np.isfinite(interval).all():
        ax.axvspan(*interval, color=FOR, alpha=0.15, linewidth=0)
    if np.isfinite(mean):
        ax.axvline(mean, color=FOR, linewidth=1.4)
    ax.set_ylim(-0.1, 1.1)
    ax.set_yticks([])
    ax.set_xlabel(one_line(label), fontsize=8, parse_math=False)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right", "left"]].set_visible(False)
    write_title(ax, title)
    return figure
