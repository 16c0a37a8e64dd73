"""Horizontal bars for tables: one feature each, the strongest on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Colormap, to_rgba

from onnxplain.plots.canvas import AGAINST, FOR, axes_of, paint, printable, write_title
from onnxplain.plots.kinds import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import Array

__all__ = ["draw_bars"]

MOST = 20


def draw_bars(
    values: Array,
    sample: Array,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
) -> Figure:
    """Draw one bar per feature, sorted by size; from the 20th on the rest is one bar.

    Parameters and result are those of :func:`onnxplain.plots.draw`.
    """
    shown, given = np.asarray(values, np.float64).ravel(), sample.ravel()
    features = names(
        labels if labels is not None else [f"feature {i}" for i in range(shown.size)],
        shown.size,
        "features",
    )
    order = np.argsort(-np.abs(shown), kind="stable")
    rest = order[MOST - 1 :] if shown.size > MOST else order[:0]
    kept = order[: MOST - 1] if rest.size else order
    lengths = [float(shown[i]) for i in kept]
    texts = [f"{features[i]} = {_short(given[i])}" for i in kept]
    if rest.size:
        lengths.append(float(shown[rest].sum()))
        texts.append(f"{rest.size} others together")
    figure, ax = axes_of(ax, 6.4, 0.9 + 0.27 * len(lengths) + (0.3 if title else 0.0))
    ends = (
        (to_rgba(AGAINST), to_rgba(FOR)) if cmap is None else tuple(paint(np.array([-0.9, 0.9]), 1.0, cmap))
    )
    places = np.arange(len(lengths))
    ax.barh(places, lengths, color=[ends[length > 0] for length in lengths], height=0.72)
    ax.set_yticks(places, printable(texts), parse_math=False, fontsize=8)
    ax.set_ylim(len(lengths) - 0.4, -0.6)
    ax.axvline(0.0, color="#444444", linewidth=0.8)
    reach = max((abs(length) for length in lengths), default=0.0) or 1.0
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    ax.set_xlim(
        low - (0.17 * reach if low < 0 else 0.02 * reach), high + (0.17 if high > 0 else 0.02) * reach
    )
    for place, length in zip(places, lengths, strict=True):
        ax.annotate(
            f"{length:+.3g}",
            (length, place),
            xytext=(4 if length >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if length >= 0 else "right",
            va="center",
            fontsize=7.5,
            color="#444444",
        )
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_xlabel("attribution (right: for, left: against)", fontsize=8)
    write_title(ax, title)
    return figure


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
