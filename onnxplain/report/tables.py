"""Attributions of a table, put together as sections of the page: all rows first, then some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.plots import draw_table
from onnxplain.plots.canvas import png
from onnxplain.plots.tables.view import numbers_of
from onnxplain.report.page import Group, Panel, Picture, Section
from onnxplain.report.sections import facts_of
from onnxplain.report.wording import prediction_text, target_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain.attribution import Attribution
    from onnxplain.plots import TableView

__all__ = ["is_table", "table_sections"]

#: How many rows, and how many columns' dependence, a page shows.
MOST_ROWS = 20
MOST_COLUMNS = 4


def is_table(result: Attribution) -> bool:
    """Tell whether what was explained is a table whose columns have names."""
    return bool(result.feature_names) and all(
        a.ndim == 1 or (a.ndim == 2 and result.sample_axes.get(k, 0) == 0) for k, a in result.arrays.items()
    )


def table_sections(
    result: Attribution,
    *,
    title: str,
    row_names: Sequence[str] | None = None,
    class_labels: Sequence[str] | None = None,
    rows: Sequence[int] | None = None,
) -> list[Section]:
    """Put the attributions of a table together.

    Parameters
    ----------
    result
        For which :func:`is_table`.
    title
        Of the table.
    row_names
        What rows are called; by default their number.
    class_labels
        Names of the model's classes.
    rows
        Those that are shown one by one; by default the first 20.

    Returns
    -------
    list of Section
        All rows together, if there are several; then each of some.
    """
    view = result.by_column()
    left = len(view) - MOST_ROWS if rows is None else 0
    sections = [_all_rows(view, title, left)] if len(view) > 1 else []
    for row in range(min(len(view), MOST_ROWS)) if rows is None else rows:
        target = target_text(result, row, class_labels)
        alt = f"{result.written_method} for {target}: {_strongest(view, row)}"
        picture = Picture(alt, png(draw_table(view, "waterfall", sample=row)))
        panel = Panel(
            result.written_method.split("(")[0], picture, facts_of(result, row), detail=result.written_method
        )
        called = row_names[row] if row_names is not None else f"row {row}"
        sections.append(
            Section(
                f"{title}, {called}" if len(view) > 1 else title,
                f"The model says {prediction_text(result.predictions[row], class_labels)}.",
                groups=(Group(f"Explained score: {target}", (panel,)),),
            )
        )
    return sections


def _all_rows(view: TableView, title: str, left: int) -> Section:
    order = view.order()
    first = ", ".join(view.names[i] for i in order[:3])
    panels = [
        Panel(
            "Mean size",
            Picture(f"mean size by column, the largest: {first}", png(draw_table(view, "mean_bar"))),
        ),
        Panel(
            "Each row a dot",
            Picture(
                f"attributions of all rows by column, the largest: {first}", png(draw_table(view, "beeswarm"))
            ),
        ),
    ]
    several = [i for i in order if len({str(v) for v in view.data[:, i]}) > 1][:MOST_COLUMNS]
    shown = [
        Panel(
            view.names[i],
            Picture(_trend(view, i), png(draw_table(view, "dependence", feature=i))),
        )
        for i in several
    ]
    groups = [Group("Which columns matter", tuple(panels))]
    groups += [Group("How they matter: value against attribution", tuple(shown))] if shown else []
    more = (
        f" The first {MOST_ROWS} are below; all numbers go to .csv, .npz or .json files." if left > 0 else ""
    )
    return Section(
        f"{title}: all {len(view)} rows",
        f"What each column did to the explained score.{more}",
        (),
        tuple(groups),
    )


def _strongest(view: TableView, row: int) -> str:
    order = np.argsort(-np.abs(view.values[row]), kind="stable")[:3]
    return "strongest: " + ", ".join(f"{view.names[i]} ({view.values[row, i]:+.2g})" for i in order)


def _trend(view: TableView, column: int) -> str:
    """Say in words how an attribution goes with its column's value."""
    numbers, values = numbers_of(view.data[:, column]), view.values[:, column]
    said = f"attributions of {view.names[column]} by its value"
    known = np.zeros(len(values), bool) if numbers is None else np.isfinite(numbers)
    if numbers is None or not (known.any() and np.ptp(numbers[known]) and np.ptp(values[known])):
        return said
    return f"{said}; correlation {float(np.corrcoef(numbers[known], values[known])[0, 1]):.2f}"
