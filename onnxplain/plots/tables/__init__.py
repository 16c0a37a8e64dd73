"""Pictures of tables: of one row (waterfall, force), or many (beeswarm, bars, dependence, interactions)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain.errors import DataInputError
from onnxplain.plots.tables.view import TableView, table_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import FloatArray

__all__ = ["TABLE_KINDS", "TableView", "draw_table", "table_view"]

TABLE_KINDS = ("waterfall", "force", "beeswarm", "mean_bar", "dependence", "interactions")

_OF_ONE = ("waterfall", "force")


def draw_table(
    view: TableView,
    kind: str,
    *,
    sample: int = 0,
    feature: str | int | None = None,
    colour_by: str | int | None = None,
    interactions: FloatArray | None = None,
    most: int = 20,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw attributions of a table.

    Parameters
    ----------
    view
        Names, attributions and values by column.
    kind
        ============================================================ ================
        one row's score, built up column by column                   ``waterfall``
        the same in one strip: what pushes up, what pushes down      ``force``
        every row a dot, a line of dots for each column              ``beeswarm``
        mean size of the attribution by column                       ``mean_bar``
        one column's value against its attribution                   ``dependence``
        mean size of what pairs of columns do together               ``interactions``
        ============================================================ ================

    sample
        Which row (waterfall, force).
    feature
        Which column (dependence), by name or number; by default that of the largest attributions.
    colour_by
        Column whose values colour the dots (dependence).
    interactions
        (N, P, P), what pairs of columns do together.
    most
        How many columns are shown; the others are one line together.
    title
        Text above the picture.
    ax
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataInputError
        If there is no such column or row, or nothing to show.
    """
    from onnxplain.plots.tables import dependence, force, many, pairs, waterfall

    if kind in _OF_ONE and not -len(view) <= sample < len(view):
        raise DataInputError(f"there is no sample {sample}; there are {len(view)}")
    if most < 1:
        raise DataInputError(f"most must be at least 1, not {most}")
    options: dict[str, Any] = {"title": title, "ax": ax}
    if kind == "waterfall":
        return waterfall.draw_waterfall(view, sample, most=most, **options)
    if kind == "force":
        return force.draw_force(view, sample, **options)
    if kind == "beeswarm":
        return many.draw_beeswarm(view, most=most, **options)
    if kind == "mean_bar":
        return many.draw_mean_bar(view, most=most, **options)
    if kind == "interactions":
        return pairs.draw_interactions(view, interactions, most=most, **options)
    if kind == "dependence":
        return dependence.draw_dependence(view, feature, colour_by, **options)
    raise DataInputError(f"kind must be one of {', '.join(map(repr, TABLE_KINDS))}, not {kind!r}")
