"""What makes a unit respond: the input that was found, and how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.features.places import channel_axis
from onnxplain.plots.canvas import FOR, INK, new_figure, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray

__all__ = ["draw_painting"]

MOST_LINES = 12


def draw_painting(
    pixels: Array, activations: FloatArray, within: tuple[float, float] | None, title: str
) -> Figure:
    """Draw an input and the activation at each step.

    Parameters
    ----------
    pixels
        One sample: an image, (C, H, W), (H, W, C) or (H, W); a series, (L,), (C, L) or (L, C); of volumes the
        middle is drawn.
    activations
        (steps,)
    within
        The range of pixels: black and white.  None: the least and the greatest of them.
    title
        Text above.
    """
    figure = new_figure(7.4, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    shown = np.asarray(pixels, np.float64)
    while shown.ndim > 3 and shown.shape[0] == 1:
        shown = shown[0]
    if shown.ndim == 4:
        channels = channel_axis(shown.shape)
        shown = np.moveaxis(shown, channels or 0, 0)
        shown = shown[:, shown.shape[1] // 2]
    if shown.ndim == 3 or (shown.ndim == 2 and min(shown.shape) > MOST_LINES):
        _draw_image(left, shown, within)
    else:
        lines = shown.reshape(1, -1) if shown.ndim < 2 else shown
        for line in lines if lines.shape[0] <= lines.shape[1] else lines.T:
            left.plot(line, linewidth=0.9)
        left.tick_params(labelsize=8)
    right.plot(activations, color=FOR, linewidth=1)
    right.axhline(0, color=INK, linewidth=0.5)
    right.set_xlabel("step", fontsize=8)
    right.set_title("activation", fontsize=9)
    right.tick_params(labelsize=8)
    for side in ("top", "right"):
        right.spines[side].set_visible(False)
    figure.suptitle(one_line(title), fontsize=11, parse_math=False)
    return figure


def _draw_image(ax: Axes, shown: FloatArray, within: tuple[float, float] | None) -> None:
    axis = channel_axis(shown.shape)
    shown = shown[..., None] if axis is None else np.moveaxis(shown, axis, -1)
    shown = shown[..., :3] if shown.shape[-1] in (3, 4) else shown.mean(-1, keepdims=True)
    low, high = within or (float(shown.min()), float(shown.max()))
    part = np.clip((shown - low) / ((high - low) or 1.0), 0, 1)
    ax.imshow(np.broadcast_to(part, (*part.shape[:2], 3)), interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
