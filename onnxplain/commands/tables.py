"""Tables in files: CSV and Parquet in, attributions by row and column out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.archive import read_array, read_arrays
from onnxplain.columns import name_columns
from onnxplain.errors import DataInputError
from onnxplain.features.removal import Background
from onnxplain.files import replacing
from onnxplain.interchange import free_name
from onnxplain.report.wording import target_text
from onnxplain.table_files import ENDINGS, holds_table, read_columns, typed
from onnxplain.tables import Table

if TYPE_CHECKING:
    from onnxplain.attribution import Attribution
    from onnxplain.explainer import Explainer

__all__ = ["LoadedTable", "background", "load_table", "write_csv"]


@dataclass(frozen=True, eq=False)
class LoadedTable:
    """A table from a file.

    Attributes
    ----------
    columns
        What the model takes, as it takes it.
    ids
        What only says which row is which.
    left_out
        Names of columns that were not wanted.
    """

    columns: Table
    ids: Table = field(default_factory=dict)
    left_out: Sequence[str] = ()


def load_table(
    path: Path, explainer: Explainer, ids: Sequence[str] = (), names: Sequence[str] | None = None
) -> LoadedTable:
    """Read a table for a model.

    Parameters
    ----------
    path
        ``.csv`` (with commas, semicolons or tabs), ``.tsv`` or ``.parquet``, with the names of its columns.
    explainer
        What it is for: its inputs say which columns hold numbers, and which texts.
    ids
        Names of columns that are not for the model.
    names
        Names of the columns of the model's only input, in its order.

    Raises
    ------
    DataInputError
        If the file is missing or malformed (with the line), or its columns or cells do not fit.
    OptionalDependencyError
        If Parquet cannot be read.
    """
    held, lines = read_columns(path)
    for name in ids:
        if name not in held:
            raise DataInputError(f"--id {name}: '{path}' has no such column; it has {', '.join(held)}")
    kept = {name: held.pop(name) for name in ids}
    try:
        wanted = name_columns(list(held), names, explainer.inputs, explainer.metadata).wanted()
    except DataInputError as error:
        raise DataInputError(
            f"'{path}': {error}; columns that are not for the model are named with --id"
        ) from error
    return LoadedTable({n: typed(held[n], n, wanted.get(n), path, lines) for n in held}, kept)


def background(
    text: str | None, table: LoadedTable | None, explainer: Explainer
) -> tuple[Any, Sequence[str]]:
    """Read rows that stand for what is usual.

    Parameters
    ----------
    text
        A file: of a table, or ``.npy`` or ``.npz``; None for none.
    table
        The table that is explained, if it is one: other columns are left out.
    explainer
        What they are for.

    Returns
    -------
    background : Background or None
    left_out : list of str
        Columns that were not used.

    Raises
    ------
    DataInputError
        If it cannot be read, or lacks a column.
    """
    if text is None:
        return None, ()
    path = Path(text)
    if path.suffix.lower() in (".npy", ".npz"):
        return Background(read_arrays(path) if path.suffix.lower() == ".npz" else read_array(path)), ()
    if not holds_table(path):
        raise DataInputError(f"--background {text}: give a table ({', '.join(ENDINGS)}), or .npy or .npz")
    if table is None:
        raise DataInputError(f"--background {text}: a table, but INPUT is none; give .npy or .npz")
    held, lines = read_columns(path)
    lacks = [n for n in table.columns if n not in held]
    if lacks:
        raise DataInputError(f"--background '{path}' lacks column '{lacks[0]}'; it has {', '.join(held)}")
    wanted = name_columns(list(table.columns), None, explainer.inputs, explainer.metadata).wanted()
    rows = {n: typed(held[n], n, wanted.get(n), path, lines) for n in table.columns}
    return Background(rows), [n for n in held if n not in rows]


def write_csv(result: Attribution, path: Path, ids: Table, class_names: Sequence[str] | None) -> None:
    """Write one line for each row: what identifies it, prediction, explained score, and each attribution.

    Raises
    ------
    DataInputError
        If no table was explained.
    OutputError
        If the file cannot be written.
    """
    view = result.by_column()
    taken = set(view.names)
    columns: list[tuple[str, Iterable[Any]]] = [(free_name(n, taken), ids[n].tolist()) for n in ids]
    rows = range(len(view))
    predictions = result.predictions.reshape(len(view), -1) if len(view) == len(result.predictions) else None
    if predictions is not None and predictions.shape[1] == 1:
        columns.append((free_name("prediction", taken), predictions[:, 0].astype(str)))
    elif predictions is not None:
        best = predictions.argmax(1).tolist()
        said = best if class_names is None else [class_names[k] if k < len(class_names) else k for k in best]
        columns.append((free_name("prediction", taken), said))
        columns.append((free_name("explained", taken), [target_text(result, r, class_names) for r in rows]))
    columns.append((free_name("score", taken), view.score.astype(str)))
    if view.base is not None:
        columns.append((free_name("base", taken), view.base.astype(str)))
    numbers = view.values.astype(np.result_type(*result.arrays.values())).astype(str)  # as short as may be
    columns += [(name, numbers[:, i]) for i, name in enumerate(view.names)]
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name for name, _ in columns])
        writer.writerows(zip(*(cells for _, cells in columns), strict=True))
        with replacing(path) as file:
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
