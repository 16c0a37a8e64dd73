"""Heatmaps of images and of other maps with two axes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.features.places import channel_axis
from onnxplain.plots.canvas import (
    add_scale,
    figure_of,
    limit_of,
    new_figure,
    one_line,
    paint,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray

__all__ = ["draw_image", "flat", "image_png", "original", "overlay"]

SIDE = 256  # pixels of a bare picture, about


def flat(values: Array) -> FloatArray:
    """Add up the channels: the signed attribution of each pixel, shape (H, W)."""
    axis = channel_axis(values.shape)
    summed = np.asarray(values, np.float64)
    return summed if axis is None else np.asarray(summed.sum(axis=axis))


def original(sample: Array) -> FloatArray:
    """Make a model's input fit to be looked at.

    Values in 0..1 stay, whole numbers in 0..255 are divided by 255, anything else (an image that was
    normalised with mean and standard deviation) is stretched from its smallest to its largest value.
    Images with neither 1, 3 nor 4 channels are averaged over them.

    Parameters
    ----------
    sample
        Shape (H, W), (C, H, W) or (H, W, C).

    Returns
    -------
    ndarray of float64, shape (H, W, 3)
        Red, green, blue in 0..1.
    """
    shown = np.nan_to_num(np.asarray(sample, np.float64), posinf=0.0, neginf=0.0)
    axis = channel_axis(shown.shape)
    shown = shown[..., None] if axis is None else np.moveaxis(shown, axis, -1)
    shown = shown[..., :3] if shown.shape[-1] in (3, 4) else shown.mean(axis=-1, keepdims=True)
    low, high = float(shown.min()), float(shown.max())
    if low < 0 or high > 1:
        if low >= 0 and high <= 255 and bool(np.all(shown == np.round(shown))):
            shown = shown / 255.0
        else:
            shown = (shown - low) / ((high - low) or 1.0)
    return np.asarray(np.broadcast_to(shown, (*shown.shape[:2], 3)))


def overlay(
    heat: FloatArray, picture: FloatArray, limit: float, cmap: str | Colormap | None = None
) -> FloatArray:
    """Lay the heatmap over a pale grey copy of the picture; where it is strong it hides the picture.

    Parameters
    ----------
    heat
        (H, W).
    picture
        (H, W, 3), 0..1.
    limit
        The absolute value with the strongest colour.
    cmap
        Colour map.

    Returns
    -------
    ndarray of float64, shape (H, W, 3)
    """
    grey = 0.35 + 0.6 * picture @ np.array([0.299, 0.587, 0.114])
    strength = np.minimum(np.abs(heat) / limit, 1.0)[..., None]
    colour = paint(np.sign(heat) * (0.45 + 0.4 * strength[..., 0]), 1.0, cmap)
    cover = 0.9 * strength**0.6
    return np.asarray(grey[..., None] * (1.0 - cover) + colour * cover)


def draw_image(
    values: Array,
    sample: Array,
    *,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    percentile: float = 99.0,
) -> Figure:
    """Draw original, heatmap and overlay side by side, or into ``ax`` the overlay alone.

    Parameters and result are those of :func:`onnxplain.plots.draw`.
    """
    heat, picture = flat(values), original(sample)
    limit = limit_of(heat, percentile)
    laid = overlay(heat, picture, limit, cmap)
    if ax is not None:
        _show(ax, laid, title or "")
        return figure_of(ax)
    height, width = heat.shape
    across = float(np.clip(3.0 * width / height, 1.5, 6.0))
    figure = new_figure(3 * across + 1.1, across * height / width + (0.8 if title else 0.45))
    first, second, third = figure.subplots(1, 3)
    _show(first, picture, "original")
    _show(second, paint(heat, limit, cmap), "attribution")
    _show(third, laid, "overlay")
    add_scale(figure, [first, second, third], limit, cmap, pad=0.015, aspect=28)
    if title:
        figure.suptitle(one_line(title), fontsize=11, parse_math=False)
    return figure


def image_png(values: Array | None, sample: Array, *, over: bool = False) -> bytes:
    """Render one bare picture, without axes or text, for the report.

    Small pictures are enlarged by a whole factor to about 256 pixels, without smoothing; those of more than
    twice as many are reduced by a whole factor.

    Parameters
    ----------
    values
        Attribution; None draws the sample itself.
    sample
        What was explained, one to three axes.
    over
        Lay the heatmap over the picture.

    Returns
    -------
    bytes
        A PNG file.
    """
    from PIL import Image

    shown = original(sample)
    if values is not None:
        heat = flat(values)
        limit = limit_of(heat)
        shown = overlay(heat, shown, limit) if over else paint(heat, limit)
    factor = max(1, SIDE // max(shown.shape[:2]))
    pixels = np.round(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    drawn = Image.fromarray(pixels).reduce(max(1, -(-max(pixels.shape) // (2 * SIDE))))
    with io.BytesIO() as buffer:
        drawn.save(buffer, format="PNG", optimize=True)
        return buffer.getvalue()


def _show(ax: Axes, picture: Array, title: str) -> None:
    options: dict[str, Any] = {"interpolation": "nearest"} if max(picture.shape[:2]) < 256 else {}
    ax.imshow(np.clip(picture, 0, 1), **options)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_color("#bbbbbb")
    if title:
        ax.set_title(one_line(title), fontsize=9, parse_math=False)
