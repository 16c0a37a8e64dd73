"""Tables in files: CSV and Parquet in, attributions by row and column out."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.archive import read_array, read_arrays
from onnxplain.columns import name_columns
from onnxplain.errors import DataInputError, OptionalDependencyError
from onnxplain.features.removal import Background
from onnxplain.files import check_source, replacing
from onnxplain.interchange import free_name
from onnxplain.report.wording import target_text
from onnxplain.tables import Table, is_missing, read_table

if TYPE_CHECKING:
    from onnxplain._types import Array
    from onnxplain.attribution import Attribution
    from onnxplain.explainer import Explainer

__all__ = ["LoadedTable", "background", "holds_table", "load_table", "write_csv"]

ENDINGS = (".csv", ".tsv", ".parquet", ".pq")
#: What stands for a missing number in files, in small letters.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
_TRUTH = {"true": 1.0, "false": 0.0}


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


def holds_table(path: Path) -> bool:
    """Tell by a file's ending whether a table is in it."""
    return path.suffix.lower() in ENDINGS


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
    held, lines = _columns(path)
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
    return LoadedTable({n: _typed(held[n], n, wanted.get(n), path, lines) for n in held}, kept)


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
    held, lines = _columns(path)
    lacks = [n for n in table.columns if n not in held]
    if lacks:
        raise DataInputError(f"--background '{path}' lacks column '{lacks[0]}'; it has {', '.join(held)}")
    wanted = name_columns(list(table.columns), None, explainer.inputs, explainer.metadata).wanted()
    rows = {n: _typed(held[n], n, wanted.get(n), path, lines) for n in table.columns}
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


def _columns(path: Path) -> tuple[Table, list[int] | None]:
    """Return the columns of a file, of texts if it is written in text, and the line of each row then."""
    check_source(path, "table", DataInputError)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _written(path)
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise OptionalDependencyError(
            f"'{path}': reading Parquet needs the package pyarrow, which cannot be imported ({error}); pip "
            "install pyarrow, or give a .csv file"
        ) from error
    try:
        table = read_table(parquet.read_table(path))
    except DataInputError:
        raise
    except Exception as error:  # what pyarrow raises on a damaged file has many names
        raise DataInputError(f"'{path}' cannot be read as Parquet ({error})") from error
    assert table is not None
    return table, None


def _written(path: Path) -> tuple[Table, list[int]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            mark = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=mark, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows: list[list[str]] = []
            lines: list[int] = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    where = f"'{path}', line {reader.line_num}"
                    raise DataInputError(f"{where}: {len(row)} cells, but the header has {len(header)}")
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise DataInputError(f"'{path}' is no text in UTF-8 ({error}); save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataInputError(f"'{path}' cannot be read as CSV ({error})") from error
    if not rows:
        raise DataInputError(f"'{path}' has no rows below its header; give at least one")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataInputError(f"'{path}': two columns are called '{twice}'; rename one of them")
    return {
        name: np.asarray(cells, object) for name, cells in zip(header, zip(*rows, strict=True), strict=True)
    }, lines


def _typed(
    column: Array, name: str, wanted: np.dtype[Any] | None, path: Path, lines: list[int] | None
) -> Array:
    """Return a column of written cells as a model takes it: numbers, NaN where one is missing, or texts."""
    if lines is None:
        if wanted is not None and wanted.kind in "UOT":
            return np.asarray(["" if is_missing(v) else v for v in column.tolist()], object)
        return column
    if wanted is not None and wanted.kind in "UOT":
        return column
    made = np.empty(len(column), np.float64)
    for row, cell in enumerate(column):
        text = cell.strip().lower()
        try:
            made[row] = np.nan if text in MISSING else _TRUTH[text] if text in _TRUTH else float(text)
        except ValueError:
            where = _place(path, lines[row], name)
            raise DataInputError(f"{where}: {cell!a:.40} is no number, and the model takes some") from None
        if wanted is not None and wanted.kind in "iub" and not made[row].is_integer():
            where = _place(path, lines[row], name)
            what = "the cell is empty" if np.isnan(made[row]) else f"{cell!a:.40} is not whole"
            raise DataInputError(f"{where}: {what}, and the model takes whole numbers")
    return made


def _place(path: Path, line: int, column: str) -> str:
    return f"'{path}', line {line}, column '{column}'"
