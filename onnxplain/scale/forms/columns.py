"""Rows of a table, of any form: what the model takes, what is handed on, what is the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.columns import name_columns
from onnxplain.errors import DataInputError, TargetError
from onnxplain.graph.interface import InputInfo
from onnxplain.table_files import typed
from onnxplain.tables import is_missing

__all__ = ["ColumnBlock", "Roles"]


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Attributes
    ----------
    inputs, metadata
        Of the model.
    ids
        Names of columns that are handed on, and are not for the model.
    target
        Name of the column that says what is explained in each row; None if none does.
    names
        Names of the columns of the model's only input, in its order; None where the model or the table says.
    """

    inputs: tuple[InputInfo, ...]
    metadata: Mapping[str, str]
    ids: tuple[str, ...] = ()
    target: str | None = None
    names: tuple[str, ...] | None = None

    @property
    def aside(self) -> tuple[str, ...]:
        """Names of all columns that are not for the model."""
        more = () if self.target is None or self.target in self.ids else (self.target,)
        return (*self.ids, *more)

    def wanted(self, header: Sequence[str], where: str, arrays: Sequence[str] = ()) -> dict[str, Any]:
        """Return the dtype of each column that the model takes; None where it does not say it.

        Parameters
        ----------
        header
            Names of the columns.
        where
            The file, for messages.
        arrays
            Those that hold an array in each row: where there are such, columns are inputs of their names.

        Raises
        ------
        DataInputError
            If a column is missing, there twice, or unknown to the model.
        """
        twice = next((name for name in header if list(header).count(name) > 1), None)
        if twice is not None:
            raise DataInputError(f"{where}: two columns are called '{twice}'; rename one of them")
        for name in self.aside:
            if name not in header:
                raise DataInputError(f"{where} has no column '{name}'; it has {', '.join(header)}")
        own = [name for name in header if name not in self.aside]
        known = {i.name: i for i in self.inputs}
        if any(name in arrays for name in own):
            strange = next((name for name in own if name not in known), None)
            if strange is not None:
                raise DataInputError(
                    f"{where}: the model has no input '{strange}'; columns that are not for the model are "
                    "named as ids (--id)"
                )
            return {name: known[name].dtype for name in own}
        try:
            wanted = name_columns(own, self.names, self.inputs, self.metadata).wanted()
        except DataInputError as error:
            raise DataInputError(
                f"{where}: {error}; columns that are not for the model are named as ids (--id)"
            ) from error
        return {name: wanted.get(name) for name in own}

    def refuse_unlike(self, first: Sequence[str], header: Sequence[str], where: str) -> None:
        """Refuse a table whose columns go to other places of the model than those of the first table.

        Raises
        ------
        DataInputError
            If they do, as columns without known names do in another order.
        """
        own = ([name for name in names if name not in self.aside] for names in (first, header))
        before, now = (name_columns(n, self.names, self.inputs, self.metadata).names for n in own)
        if before != now:
            raise DataInputError(
                f"{where} has its columns in another order than the first file ({', '.join(header)}; there "
                f"{', '.join(first)}), and the model does not say how they are called; bring them to one "
                "order, or give feature_names (--names)"
            )


@dataclass(frozen=True, eq=False)
class ColumnBlock:
    """Rows of a table.

    Attributes
    ----------
    columns
        (n,) or (n, ...) by name: texts of cells, or values.
    roles
        What they are for.
    where
        The file, for messages.
    lines
        Of each row, where the file is written in text.
    broken
        By row, what is wrong with rows that could not be read.
    ids
        What is handed on.
    """

    columns: Mapping[str, Array]
    roles: Roles
    where: str
    lines: Sequence[int] | None = None
    broken: Mapping[int, str] = field(default_factory=dict)
    ids: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> list[str]:
        """Names of the columns that are for the model."""
        return [name for name in self.columns if name not in self.roles.aside]

    def take(self, rows: Sequence[int]) -> tuple[Any, list[int] | None]:
        """Return inputs and targets of some rows; see :class:`~onnxplain.scale.pieces.Block`."""
        bad = next((row for row in rows if row in self.broken), None)
        if bad is not None:
            raise DataInputError(self.broken[bad])
        columns = {name: _stacked(column[rows], name) for name, column in self.columns.items()}
        arrays = [name for name, column in columns.items() if column.ndim > 1]
        wanted = self.roles.wanted(list(columns), f"'{self.where}'", arrays)
        lines = None if self.lines is None else [self.lines[row] for row in rows]
        shapes = {i.name: i.shape for i in self.roles.inputs}
        inputs = {
            name: _shaped(columns[name], shapes[name], dtype)
            if name in arrays
            else typed(columns[name], name, dtype, self.where, lines)
            for name, dtype in wanted.items()
        }
        chosen = self.roles.target
        return inputs, None if chosen is None else [self._target(self.columns[chosen][row]) for row in rows]

    def _target(self, cell: Any) -> int:
        try:
            number = float(cell)
            if is_missing(cell) or not number.is_integer():
                raise ValueError
        except (TypeError, ValueError):
            raise TargetError(
                f"column '{self.roles.target}' holds {cell!a:.40}, and targets are class numbers"
            ) from None
        return int(number)


def _stacked(column: Array, name: str) -> Array:
    """Return cells that hold arrays of one shape as one array."""
    if column.dtype != object or not any(isinstance(cell, np.ndarray) for cell in column):
        return column
    shapes = sorted({np.shape(cell) for cell in column})
    if len(shapes) > 1:
        raise DataInputError(f"column '{name}' holds arrays of different shapes, such as {shapes[:3]}")
    return np.stack(list(column))


def _shaped(column: Array, shape: Sequence[Any] | None, wanted: Any) -> Array:
    """Return arrays as a model takes them: laid out in its shape where they came flat."""
    inner = tuple(shape or ())[1:]
    flat = column.ndim == 2 and len(inner) > 1 and all(isinstance(d, int) for d in inner)
    if flat and column.shape[1] == math.prod(inner):
        column = column.reshape(len(column), *inner)
    return column if wanted is None else column.astype(wanted, copy=False)
