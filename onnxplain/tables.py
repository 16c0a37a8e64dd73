"""Tables of any library as columns by name; they are known by what they can do, and none is imported."""

from __future__ import annotations

import importlib
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError, OptionalDependencyError
from onnxplain.inputs import as_array

__all__ = ["Table", "cells", "is_missing", "read_table"]

#: (n,) by name of the column, all of one length.
Table: TypeAlias = dict[str, Array]


def read_table(given: Any) -> Table | None:
    """Return the columns of a table; None for what is none.

    Parameters
    ----------
    given
        A data frame (pandas, polars and what is like them), an Arrow table or batch, what hands itself on by
        ``__arrow_c_stream__`` or ``__dataframe__``, a structured array, or a dict of columns (or of single
        values: one row).

    Raises
    ------
    DataInputError
        If two columns have one name or different lengths, or one is no column; if there is no row.
    OptionalDependencyError
        If it can only be had through pyarrow, which is not installed.
    """
    if isinstance(given, np.ndarray):
        names = given.dtype.names
        return None if names is None or given.ndim != 1 else _columns([(n, given[n]) for n in names])
    if isinstance(given, Mapping):
        columns = [(str(k), _by_itself(v, str(k))) for k, v in given.items()]
        return _columns(columns) if columns and all(c.ndim == 1 for _, c in columns) else None
    if hasattr(given, "collect") and hasattr(given, "collect_schema"):
        raise DataInputError(f"a {type(given).__name__} holds no rows yet; give .collect()")
    if hasattr(given, "column_names") and hasattr(given, "__getitem__"):
        return _named(given, given.column_names)
    if hasattr(given, "columns") and hasattr(given, "__getitem__") and hasattr(given, "to_numpy"):
        return _named(given, given.columns)
    if hasattr(given, "__array__"):
        return None
    if hasattr(given, "__arrow_c_stream__"):
        return read_table(_pyarrow("pyarrow", given).table(given))
    if hasattr(given, "__dataframe__"):
        return read_table(_pyarrow("pyarrow.interchange", given).from_dataframe(given))
    return None


def cells(column: Array, wanted: np.dtype[Any] | None, name: str) -> Array:
    """Return a column in the kind of dtype that an input takes: floats (NaN where missing), integers, texts.

    Parameters
    ----------
    column
        (n,).
    wanted
        The input's dtype; None if the model does not say it.
    name
        Of the column, for messages.

    Raises
    ------
    DataInputError
        Naming the column, the first row (counted from 0) that does not fit, and what stands there.
    """
    if wanted is None:
        return column
    if column.dtype.kind in "mMcV":
        raise DataInputError(f"column '{name}' has dtype {column.dtype}; make numbers or texts of it first")
    if wanted.kind in "UOT":
        return _texts(column, name)
    if column.dtype.kind in "fiub" and wanted.kind == "f":
        return column
    if column.dtype.kind in "USOT":
        column = _numbers(column, name)
    if column.dtype.kind == "f" and wanted.kind in "iub":
        bad = np.flatnonzero(~np.isfinite(column) | (column != np.round(column)))
        if bad.size:
            held = column[bad[0]]
            what = "is missing" if np.isnan(held) else f"holds {held:g}"
            takes = f"the model takes whole numbers there ({wanted})"
            raise DataInputError(
                f"row {bad[0]} of column '{name}' {what}, and {takes}; fill it as it was filled for training"
            )
        column = column.astype(np.int64)
    if wanted.kind == "b" and column.dtype.kind in "iu" and np.isin(column, (0, 1)).all():
        column = column.astype(bool)
    return column


def is_missing(value: Any) -> bool:
    """Tell whether a cell says that there is nothing: None, NaN, or pandas' own marks."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _named(given: Any, names: Iterable[Any]) -> Table:
    names = list(names)
    _refuse_twice([str(n) for n in names])
    return _columns([(str(n), as_array(given[n], f"column '{n}'")) for n in names])


def _by_itself(given: object, name: str) -> Array:
    array = as_array(given, f"column '{name}'")
    return array[None] if array.ndim == 0 else array


def _columns(columns: list[tuple[str, Array]]) -> Table:
    """Check columns, and put them together."""
    _refuse_twice([name for name, _ in columns])
    for name, column in columns:
        if column.ndim != 1 or column.dtype.names is not None:
            raise DataInputError(f"column '{name}' has shape {column.shape}; give one value for each row")
        as_array(column, f"column '{name}'")  # a mask would be lost
        first = columns[0]
        if len(column) != len(first[1]):
            raise DataInputError(
                f"column '{name}' has {len(column)} rows, and '{first[0]}' has {len(first[1])}; give each as "
                "many"
            )
        if len(column) == 0:
            raise DataInputError("the table has no rows; give at least one")
    if not columns:
        raise DataInputError("the table has no columns; give those that the model takes")
    return dict(columns)


def _refuse_twice(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataInputError(f"two columns of the table are called '{name}'; rename one of them")
        seen.add(name)


def _texts(column: Array, name: str) -> Array:
    if column.dtype.kind in "SUT":
        made: Array = (np.char.decode(column, "utf-8") if column.dtype.kind == "S" else column).astype(object)
        return made
    for row, value in enumerate(column.astype(object)):
        if isinstance(value, str):
            continue
        if is_missing(value):
            raise DataInputError(
                f"row {row} of column '{name}' is missing, and the model takes texts there; fill it as it "
                'was filled for training, perhaps with .fillna("")'
            )
        raise DataInputError(
            f"row {row} of column '{name}' holds {value!a:.40}, and the model takes texts there; convert it "
            "with .astype(str)"
        )
    return column


def _numbers(column: Array, name: str) -> Array:
    """Return numbers of objects: floats where one is missing or has a fraction, else integers."""
    made: list[Any] = []
    for row, value in enumerate(column.astype(object)):
        if is_missing(value):
            made.append(np.nan)
        elif isinstance(value, numbers.Number | np.bool_) and not isinstance(value, complex):
            made.append(value)
        else:
            raise DataInputError(
                f"row {row} of column '{name}' holds {value!a:.40}, and the model takes numbers there"
            )
    if all(isinstance(v, numbers.Integral | np.bool_) for v in made):
        return np.asarray([int(v) for v in made])
    return np.asarray([float(v) for v in made])


def _pyarrow(module: str, given: object) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        what = f"reading a {type(given).__name__}"
        raise OptionalDependencyError(
            f"{what} needs the package pyarrow, which cannot be imported ({error}); "
            "pip install pyarrow, or give a dict of columns"
        ) from error
