"""What pairs of columns do together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.plots.canvas import axes_of, printable, write_title
from onnxplain.plots.tables.view import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import FloatArray
    from onnxplain.plots.tables.view import TableView

__all__ = ["draw_interactions"]


def draw_interactions(
    view: TableView,
    interactions: FloatArray | None,
    *,
    most: int = 20,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the mean size of interactions, (N, P, P), as a map; on the diagonal what columns do alone.

    Parameters and result are those of :func:`onnxplain.plots.tables.draw_table`.

    Raises
    ------
    DataInputError
        If there are none, or they do not fit the columns.
    """
    count = len(view.names)
    if interactions is None:
        raise DataInputError("this result holds no interactions; explain with a method that finds them")
    if interactions.ndim != 3 or interactions.shape[1:] != (count, count):
        raise DataInputError(f"interactions of shape {interactions.shape} do not fit {count} columns")
    size = np.abs(np.asarray(interactions, np.float64)).mean(0)
    order = np.argsort(-size.sum(0), kind="stable")[:most]
    shown = size[np.ix_(order, order)]
    names = printable(shortened(view.names[i], 28) for i in order)
    side = 2.6 + 0.34 * len(order)
    figure, ax = axes_of(ax, side + 0.6, side + (0.3 if title else 0.0))
    picture = ax.imshow(shown, cmap="Purples", vmin=0.0, vmax=float(shown.max()) or 1.0)
    ax.set_xticks(
        range(len(order)),
        names,
        parse_math=False,
        fontsize=8,
        rotation=45,
        rotation_mode="anchor",
        ha="right",
    )
    ax.set_yticks(range(len(order)), names, parse_math=False, fontsize=8)
    ax.tick_params(length=0)
    for line in ax.spines.values():
        line.set_visible(False)
    if len(order) <= 12:
        for (row, column), number in np.ndenumerate(shown):
            ink = "white" if number > 0.6 * shown.max() else "#333333"
            ax.text(column, row, f"{number:.2g}", ha="center", va="center", fontsize=7, color=ink)
    bar = figure.colorbar(picture, ax=ax, pad=0.02, aspect=32, shrink=0.8)
    bar.set_label(f"mean size over {len(interactions)} rows", fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    write_title(ax, title)
    return figure
