"""Files of tables: which there are, their columns, and their cells as a model takes them."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError, OptionalDependencyError
from onnxplain.files import check_source
from onnxplain.tables import Table, is_missing, read_table

__all__ = ["ENDINGS", "MISSING", "holds_table", "read_columns", "separator", "typed"]

ENDINGS = (".csv", ".tsv", ".parquet", ".pq")
#: What stands for a missing number in files, in small letters.
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
_TRUTH = {"true": 1.0, "false": 0.0}


def holds_table(path: Path) -> bool:
    """Tell by a file's ending whether a table is in it."""
    return path.suffix.lower() in ENDINGS


def read_columns(path: Path) -> tuple[Table, list[int] | None]:
    """Read a table.

    Parameters
    ----------
    path
        ``.csv`` (with commas, semicolons or tabs), ``.tsv`` or ``.parquet``, with the names of its columns.

    Returns
    -------
    columns : dict of (n,) arrays
        By name; of texts if the file is written in text.
    lines : list of int or None
        The line of each row then.

    Raises
    ------
    DataInputError
        If the file is missing or malformed.
    OptionalDependencyError
        If Parquet cannot be read.
    """
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
            reader = csv.reader(file, delimiter=separator(path.name, first), strict=True)
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


def separator(name: str, header: str) -> str:
    """Tell what stands between the cells of a file of that name, by its header."""
    return "\t" if name.lower().endswith(".tsv") else max(",;\t", key=header.count)


def typed(
    column: Array, name: str, wanted: np.dtype[Any] | None, path: Path | str, lines: Sequence[int] | None
) -> Array:
    """Return a column of cells as a model takes it: numbers, NaN where one is missing, or texts.

    Parameters
    ----------
    column, name
        (n,), and what it is called.
    wanted
        The dtype of the model's input; None if it does not say it.
    path, lines
        Where it was read, for messages; None for lines of what is not written in text.

    Raises
    ------
    DataInputError
        If a cell does not fit, with its line.
    """
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


def _place(path: Path | str, line: int, column: str) -> str:
    return f"'{path}', line {line}, column '{column}'"
