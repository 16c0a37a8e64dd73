"""Many rows: a line of dots, or the mean size, for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.plots.canvas import axes_of, one_line, printable, write_title
from onnxplain.plots.tables.view import numbers_of, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray
    from onnxplain.plots.tables.view import TableView

__all__ = ["NEUTRAL", "UNKNOWN", "VALUES", "dots", "draw_beeswarm", "draw_mean_bar", "value_scale"]

NEUTRAL = "#6b7785"
#: What is no number has no place on a scale of colours.
UNKNOWN = "#a6a6a6"
#: Colours of values, which are no attributions, and so neither red nor blue.
VALUES = "viridis"
_BRIGHTEST = 0.93
_BINS = 120


def draw_mean_bar(
    view: TableView, *, most: int = 20, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw the mean size of each column's attributions, the largest on top.

    Parameters and result are those of :func:`onnxplain.plots.tables.draw_table`.
    """
    kept, rest = _split(view, most)
    size = np.abs(view.values).mean(0)
    lengths = [float(size[i]) for i in kept]
    texts = [shortened(view.names[i]) for i in kept]
    if rest:
        lengths.append(float(np.abs(view.values[:, rest].sum(1)).mean()))
        texts.append(f"{len(rest)} others together")
    figure, ax = _lines(texts, title, ax)
    ax.barh(range(len(lengths)), lengths, color=NEUTRAL, height=0.72)
    ax.set_xlim(0.0, 1.15 * (max(lengths) or 1.0))
    for place, length in enumerate(lengths):
        ax.annotate(
            f"{length:.3g}", (length, place), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=7.5, color="#444444",
        )  # fmt: skip
    ax.set_xlabel(f"mean size of the attribution, over {len(view)} rows", fontsize=8)
    return figure


def draw_beeswarm(
    view: TableView, *, most: int = 20, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw a dot for each row and column: where it lies is the attribution, its colour the column's value.

    Parameters and result are those of :func:`onnxplain.plots.tables.draw_table`.
    """
    kept, rest = _split(view, most)
    texts = [shortened(view.names[i]) for i in kept] + [f"{len(rest)} others together"] * bool(rest)
    own = ax is None
    figure, ax = _lines(texts, title, ax, each=0.32)
    shown = [view.values[:, i] for i in kept] + ([view.values[:, rest].sum(1)] if rest else [])
    low = min(float(v.min()) for v in shown)
    high = max(float(v.max()) for v in shown)
    for place, values in enumerate(shown):
        column = view.data[:, kept[place]] if place < len(kept) else None
        heights = place - 0.4 * _spread(values, low, high)
        dots(ax, values, heights, column)
    ax.axvline(0.0, color="#444444", linewidth=0.8, zorder=0)
    for place in range(len(texts)):
        ax.axhline(place, color="#e4e4e4", linewidth=0.6, zorder=-1)
    ax.set_xlabel("attribution (right: for, left: against); grey: text, missing, several columns", fontsize=8)
    if own:
        value_scale(figure, ax, "column's value")
    return figure


def dots(ax: Axes, x: Array, y: Array, column: Array | None) -> None:
    """Draw dots in the colours of a column's values; grey what is no number."""
    style: dict[str, Any] = {
        "s": 9.0 if len(x) <= 2000 else 4.0,
        "linewidths": 0.0,
        "rasterized": len(x) > 500,
    }
    place = np.full(len(x), np.nan) if column is None else _place(column)
    known = np.isfinite(place)
    ax.scatter(x[~known], y[~known], color=UNKNOWN, **style)
    ax.scatter(x[known], y[known], c=_BRIGHTEST * place[known], cmap=VALUES, vmin=0.0, vmax=1.0, **style)


def value_scale(figure: Figure, ax: Axes, what: str) -> None:
    """Draw the scale of the colours of values."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(mpl.colormaps[VALUES](np.linspace(0.0, _BRIGHTEST, 256)))
    bar = figure.colorbar(ScalarMappable(Normalize(0.0, 1.0), colours), ax=ax, pad=0.02, aspect=32)
    bar.set_ticks([0.0, 1.0], labels=["low", "high"])
    bar.set_label(one_line(what), fontsize=8, labelpad=2)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)


def _place(column: Array) -> FloatArray:
    """Return where values lie between a column's 5th and 95th percentile, 0 to 1; NaN for no number."""
    numbers = numbers_of(column)
    if numbers is None:
        return np.full(len(column), np.nan)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return np.full(len(column), np.nan)
    low, high = np.percentile(finite, [5, 95])
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    return np.where(np.isfinite(numbers), np.clip((numbers - low) / ((high - low) or 1.0), 0.0, 1.0), np.nan)


def _split(view: TableView, most: int) -> tuple[list[int], list[int]]:
    order = view.order()
    return (order[: most - 1], order[most - 1 :]) if len(order) > most else (order, [])


def _spread(values: FloatArray, low: float, high: float) -> FloatArray:
    """Return how far each dot is off its line, -1 to 1: those at one place lie beside each other."""
    width = (high - low) or 1.0
    bins = np.floor(_BINS * (values - low) / width).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    _, starts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values)) - np.repeat(starts, counts)
    side = np.where(rank % 2, (rank + 1) // 2, -(rank // 2)).astype(np.float64)
    return np.asarray(side / max(8.0, counts.max() / 2))


def _lines(texts: list[str], title: str | None, ax: Axes | None, each: float = 0.27) -> tuple[Figure, Axes]:
    """Make a line for each text, the first on top."""
    figure, ax = axes_of(ax, 7.2, 0.9 + each * len(texts) + (0.3 if title else 0.0))
    ax.set_yticks(range(len(texts)), printable(texts), parse_math=False, fontsize=8)
    ax.set_ylim(len(texts) - 0.4, -0.6)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8)
    write_title(ax, title)
    return figure, ax
