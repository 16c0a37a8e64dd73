"""Which columns come out: their names, types and shapes, the same in every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.attribution import Attribution
from onnxplain.checks import StandardError
from onnxplain.errors import DataInputError

__all__ = ["ERROR", "ROW", "SOURCE", "Field", "Layout", "Rows"]

SOURCE, ROW, ERROR = "source", "row", "error"


@dataclass(frozen=True)
class Field:
    """A column.

    Attributes
    ----------
    name
        As ``attribution/image``.
    dtype
        NumPy's name of it; ``"str"`` for texts.
    shape
        Of what each row holds.
    names
        Of its entries, where they have names.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values each row holds."""
        return prod(self.shape)

    def empty(self, n: int) -> Array:
        """Return (n, ...) of what stands for nothing: NaN, -1, an empty text."""
        if self.dtype == "str":
            return np.full((n, *self.shape), "", object)
        dtype = np.dtype(self.dtype)
        fill: Any = np.nan if dtype.kind == "f" else False if dtype.kind in "bu" else -1
        return np.full((n, *self.shape), fill, dtype)


@dataclass(frozen=True)
class Layout:
    """All columns of what is found.

    Attributes
    ----------
    fields
        In order.
    ids
        Names of what is handed on.
    """

    fields: tuple[Field, ...]
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: Attribution, ids: Sequence[str]) -> Layout:
        """Take the columns of a result of one row for those of all.

        Raises
        ------
        DataInputError
            If a column that is handed on is called as one of them.
        """
        names = result.feature_names or {}
        fields = []
        for name, array in _columns(result, 1).items():
            own: tuple[Any, ...] = names.get(name.partition("/")[2], ()) if "/" in name else ()
            entries = tuple(own[0] or ()) if len(own) == 1 else ()
            dtype = "str" if array.dtype.kind in "OUST" else array.dtype.name
            fields.append(Field(name, dtype, array.shape[1:], entries))
        taken = (SOURCE, ROW, ERROR, *(f.name for f in fields))
        twice = next((name for name in ids if name in taken), None)
        if twice is not None:
            raise DataInputError(
                f"the id '{twice}' is called as a column that is written; rename it in the data"
            )
        return cls(tuple(fields), tuple(ids))

    @property
    def numbers(self) -> int:
        """How many numbers a row has."""
        return sum(f.size for f in self.fields)

    def described(self) -> list[dict[str, Any]]:
        """Describe the columns by what JSON holds."""
        return [
            {"name": f.name, "dtype": f.dtype, "shape": list(f.shape), "names": list(f.names)}
            for f in self.fields
        ]

    def empty(self, n: int) -> Arrays:
        """Return columns of n rows that hold nothing yet."""
        return {f.name: f.empty(n) for f in self.fields}

    def columns(self, result: Attribution, n: int) -> Arrays:
        """Return the columns of a result of n rows.

        Raises
        ------
        DataInputError
            If they are not those of the first row.
        """
        found = _columns(result, n)
        for f in self.fields:
            shape = found[f.name].shape[1:] if f.name in found else None
            if shape != f.shape:
                raise DataInputError(
                    f"'{f.name}' has shape {shape}, and {f.shape} in the first row; "
                    "bring the rows to one size"
                )
        return found


@dataclass(frozen=True, eq=False)
class Rows:
    """What was found in the rows of a piece.

    Attributes
    ----------
    layout
        Which columns there are.
    keys
        What rows are known by, (n,) by name.
    ids
        What is handed on, (n,) by name.
    columns
        (n, ...) by name.
    errors
        What stood against each row; empty where nothing did.
    notes
        What a person may want to know.
    """

    layout: Layout
    keys: Mapping[str, Array]
    ids: Mapping[str, Any]
    columns: Arrays
    errors: Sequence[str]
    notes: Sequence[str] = field(default=())

    @property
    def failed(self) -> int:
        """How many rows have errors."""
        return sum(map(bool, self.errors))


def _columns(result: Attribution, n: int) -> Arrays:
    """Return what is written of a result, samples first."""
    if len(result) != n or None in [result.sample_axes.get(k, 0) for k in result.arrays]:
        raise DataInputError(
            f"{n} rows were explained as {len(result)} sample: the model's rows touch one another, so that "
            "none has an explanation of its own; say with batch_axes= where samples lie, if that is not so"
        )
    found: Arrays = {"prediction": result.predictions}
    if result.target.dtype.kind in "iu" and result.target.ndim == 2 and result.target.shape[1]:
        found["target"] = result.target[:, 0] if result.target.shape[1] == 1 else result.target
    found["score"] = result.score
    if result.reference is not None and result.delta is not None:
        found |= {"reference": result.reference, "delta": result.delta}
    for name, array in result.arrays.items():
        found[f"attribution/{name}"] = np.moveaxis(array, result.sample_axes.get(name, 0) or 0, 0)
    if isinstance(result.check, StandardError):
        for name, array in result.check.errors.items():
            found[f"standard_error/{name}"] = array
    return {k: np.asarray(v) for k, v in found.items()}
