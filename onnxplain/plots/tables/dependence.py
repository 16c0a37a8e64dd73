"""One column's value against its attribution."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.plots.canvas import axes_of, one_line, printable, write_title
from onnxplain.plots.tables.many import NEUTRAL, dots, value_scale
from onnxplain.plots.tables.view import cell_text, numbers_of, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray
    from onnxplain.plots.tables.view import TableView

__all__ = ["draw_dependence"]

MOST_TEXTS = 12


def draw_dependence(
    view: TableView,
    feature: str | int | None,
    colour_by: str | int | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw a dot for each row: its value in a column, and that column's attribution.

    Texts stand side by side, the most frequent first; missing numbers stand apart on the left.  Parameters
    and result are those of :func:`onnxplain.plots.tables.draw_table`.
    """
    which = view.order()[0] if feature is None else view.column(feature)
    colours = None if colour_by is None else view.data[:, view.column(colour_by)]
    own = ax is None
    figure, ax = axes_of(ax, 6.4, 4.2 + (0.3 if title else 0.0))
    column, values = view.data[:, which], view.values[:, which]
    numbers = numbers_of(column)
    at = _among_texts(ax, column) if numbers is None else _among_numbers(ax, numbers)
    if colours is None:
        ax.scatter(at, values, s=11.0, color=NEUTRAL, alpha=0.75, linewidths=0.0, rasterized=len(at) > 500)
    else:
        dots(ax, at, values, colours)
        if own:
            value_scale(figure, ax, shortened(view.names[view.column(colour_by or 0)]))
    ax.axhline(0.0, color="#444444", linewidth=0.8, zorder=0)
    ax.set_xlabel(one_line(shortened(view.names[which], 60)), fontsize=9, parse_math=False)
    ax.set_ylabel("attribution (up: for, down: against)", fontsize=8)
    ax.tick_params(labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    write_title(ax, title)
    return figure


def _among_numbers(ax: Axes, numbers: FloatArray) -> FloatArray:
    """Return where dots go; those without a number to the left of all others."""
    missing = ~np.isfinite(numbers)
    if not missing.any():
        return numbers
    finite = numbers[~missing]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.12 * ((high - low) or 1.0)
    ax.axvline(low - room / 2, color="#cccccc", linewidth=0.8)
    ax.annotate(
        "missing", (low - room, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
    )
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(numbers)) * room
    return np.where(missing, low - room + jitter, numbers)


def _among_texts(ax: Axes, column: Array) -> FloatArray:
    """Return where dots go, and name the places."""
    texts = [cell_text(v) for v in column]
    counted = [text for text, _ in Counter(texts).most_common()]
    named = counted if len(counted) <= MOST_TEXTS else counted[: MOST_TEXTS - 1]
    labels = [shortened(t, 24) for t in named]
    if len(named) < len(counted):
        labels.append(f"{len(counted) - len(named)} others")
    place = {text: i for i, text in enumerate(named)}
    ax.set_xticks(
        range(len(labels)),
        printable(labels),
        parse_math=False,
        rotation=35,
        rotation_mode="anchor",
        ha="right",
    )
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(texts))
    return np.asarray([place.get(t, len(named)) for t in texts]) + jitter
