"""Attributions as one table: rows are samples, columns are what the model's user calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.errors import DataInputError

__all__ = ["TableView", "cell_text", "numbers_of", "shortened", "table_view"]


@dataclass(frozen=True, eq=False)
class TableView:
    """Attributions by column.

    Attributes
    ----------
    names
        Of the P columns; a group of columns that played together is one.
    values
        float64 (N, P): attributions.
    data
        Object (N, P): what was explained; a group's is how many columns it has, as text.
    score
        (N,): what was explained.
    base
        (N,): what the attributions are added to; None where no sum is promised.
    """

    names: tuple[str, ...]
    values: FloatArray
    data: Array
    score: FloatArray
    base: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def order(self) -> list[int]:
        """Return the columns, those with the largest attributions (mean size) first."""
        return [int(i) for i in np.argsort(-np.abs(self.values).mean(0), kind="stable")]

    def column(self, which: str | int) -> int:
        """Return the place of a column.

        Raises
        ------
        DataInputError
            If there is none of that name or number.
        """
        if isinstance(which, str) and which in self.names:
            return self.names.index(which)
        if not isinstance(which, str) and -len(self.names) <= which < len(self.names):
            return which % len(self.names)
        raise DataInputError(f"there is no column {which!r}; there are {', '.join(self.names[:30])}")


def table_view(
    arrays: Arrays,
    inputs: Arrays,
    names: Mapping[str, Sequence[Sequence[str] | None]],
    groups: Mapping[str, Array],
    score: FloatArray,
    base: FloatArray | None,
) -> TableView:
    """Put the attributions of all explained inputs side by side.

    Parameters
    ----------
    arrays, inputs
        Attributions and what was explained, by input, (N,), (N, C), or (N, 1, ...).
    names
        Of the columns, by input; those that are not named get a number.
    groups
        By input, (C,): the group that each column is in, empty for none.
    score, base
        As :class:`TableView` holds them.

    Raises
    ------
    DataInputError
        If an input has more than one axis behind the samples'.
    """
    found: dict[tuple[str, str], tuple[str, FloatArray, list[Array]]] = {}
    for key, array in arrays.items():
        wide = array.reshape(len(array), -1)
        if max((1, *array.shape[1:])) != wide.shape[1]:
            raise DataInputError(
                f"the attributions of '{key}' have shape {array.shape}, and are no table; name another "
                "input, or draw it with kind='auto'"
            )
        listed = _names(key, wide.shape[1], names.get(key), len(arrays))
        given = inputs[key].reshape(wide.shape).astype(object)
        for c, name in enumerate(listed):
            group = str(groups[key][c]) if key in groups else ""
            column = found.setdefault(
                ("group", group) if group else (key, name), (group or name, wide[:, c], [])
            )
            column[2].append(given[:, c])
    data = [parts[0] if len(parts) == 1 else _together(parts) for _, _, parts in found.values()]
    values = np.stack([v for _, v, _ in found.values()], 1).astype(np.float64)
    return TableView(tuple(n for n, _, _ in found.values()), values, np.stack(data, 1), score, base)


def numbers_of(column: Array) -> FloatArray | None:
    """Return a column's cells as numbers, NaN where one is missing; None if it holds texts."""
    if any(isinstance(v, str) for v in column.ravel()):
        return None
    return np.asarray(column, np.float64)


def cell_text(value: Any) -> str:
    """Write what a cell holds."""
    if isinstance(value, float | np.floating):
        return "missing" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def shortened(text: str, most: int = 40) -> str:
    """Leave out the middle of a long name."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}\u2026{text[-tail:]}"


def _names(key: str, count: int, names: Sequence[Sequence[str] | None] | None, of: int) -> list[str]:
    for entries in names or ():
        if entries is not None and len(entries) == count:
            return list(entries)
    if count == 1 and of > 1:
        return [key]
    return [f"feature {i}" if of == 1 else f"{key} {i}" for i in range(count)]


def _together(parts: list[Array]) -> Array:
    return np.full(len(parts[0]), f"{len(parts)} columns", object)
