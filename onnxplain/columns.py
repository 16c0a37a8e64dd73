"""Where the columns of a table go: which of a model's inputs each is, or is part of."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnxplain._types import Arrays
from onnxplain.errors import DataInputError
from onnxplain.features.removal import Background
from onnxplain.graph.interface import InputInfo
from onnxplain.inputs import as_array
from onnxplain.tables import Table, cells, read_table

__all__ = ["Columns", "find_columns", "name_columns", "stated_columns"]

#: Under this key a model may say what its columns are called.
METADATA = "feature_names"

Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of inputs are called; empty where nobody said it.

    Attributes
    ----------
    inputs
        What the model takes.
    names
        By input name, its columns' names in the order in which they lie in it.
    """

    inputs: Sequence[InputInfo] = ()
    names: Names = field(default_factory=dict)

    def wanted(self) -> dict[str, np.dtype[Any] | None]:
        """Return the dtype that the model takes for each column."""
        return {c: i.dtype for i in self.inputs for c in self.names.get(i.name, ())}

    def lay_out(self, table: Table, inputs: Iterable[str] | None = None) -> Arrays:
        """Return arrays by input name.

        Parameters
        ----------
        table
            With every column that is needed, and no other.
        inputs
            Which are wanted, by name; all if None.

        Raises
        ------
        DataInputError
            If a column is unknown, missing or does not fit.
        """
        known = [c for columns in self.names.values() for c in columns]
        _refuse_unlike(known, list(table))
        made: Arrays = {}
        for info in self.inputs:
            if info.name in self.names and (inputs is None or info.name in set(inputs)):
                parts = [cells(table[c], info.dtype, c) for c in self.names[info.name]]
                made[info.name] = parts[0] if _rank(info) == 1 else np.stack(parts, axis=1)
        return made

    def instead(self, given: Any, infos: Sequence[InputInfo]) -> Any:
        """Return baselines as arrays by input name, where they are a table, or a background that is one.

        Parameters
        ----------
        given
            As users give it.
        infos
            The explained inputs; columns of others are left out.
        """
        rows = given.rows if isinstance(given, Background) else given
        table = None if not self.names or _fits(rows, self.inputs) else read_table(rows)
        if table is None:
            return given
        made = self.lay_out(table, [i.name for i in infos])
        return Background(made) if isinstance(given, Background) else made

    def groups(self, given: Any) -> dict[str, list[str]] | None:
        """Return groups of columns, where users give these as who plays; None otherwise.

        Raises
        ------
        DataInputError
            If a column is unknown, or in two groups.
        """
        if not isinstance(given, Mapping) or not given or not all(map(_are_texts, given.values())):
            return None
        found = {str(k): list(v) for k, v in given.items()}
        known = [c for columns in self.names.values() for c in columns]
        if not known:
            raise DataInputError(
                "feature_mask names columns, but nobody said how the columns are called; give a table, or "
                "feature_names="
            )
        seen: dict[str, str] = {}
        for group, columns in found.items():
            for column in columns:
                if column not in known:
                    raise DataInputError(f"group '{group}' has the column '{column}'{_near(column, known)}")
                if column in seen:
                    raise DataInputError(
                        f"column '{column}' is in two groups, '{seen[column]}' and '{group}'; leave it in one"
                    )
                seen[column] = group
        return found

    def mask(self, given: Any, infos: Sequence[InputInfo]) -> Any:
        """Return who plays as integers by input name, where groups of columns are given."""
        groups = self.groups(given)
        if groups is None:
            return given
        group_of = {c: g for g, columns in groups.items() for c in columns}
        ids: dict[object, int] = {}
        made: Arrays = {}
        for info in infos:
            numbers = [
                ids.setdefault(group_of.get(c, (info.name, c)), len(ids))
                for c in self.names.get(info.name, ())
            ]
            if numbers:
                made[info.name] = np.asarray(numbers[:1] if _rank(info) == 1 else [numbers], np.int64)
        return made

    def labels(
        self, infos: Sequence[InputInfo], arrays: Arrays, axes: Mapping[str, int | None]
    ) -> dict[str, tuple[tuple[str, ...] | None, ...]]:
        """Return what a result calls the columns of the explained inputs.

        Parameters
        ----------
        infos, arrays
            The explained inputs, and all inputs by name.
        axes
            Along which axis samples lie, by name; None where all of an array is one.

        Raises
        ------
        DataInputError
            If there are not as many names as columns.
        """
        found: dict[str, tuple[tuple[str, ...] | None, ...]] = {}
        for info in infos:
            names, array = self.names.get(info.name), arrays.get(info.name)
            if names is None or array is None or array.ndim != 2 or axes[info.name] not in (0, None):
                continue
            if len(names) != array.shape[1]:
                raise DataInputError(
                    f"{len(names)} feature_names do not fit input '{info.name}' with {array.shape[1]} "
                    "columns; give feature_names= with one for each"
                )
            found[info.name] = (names,) if axes[info.name] == 0 else (None, names)
        return found

    def grouped(self, given: Any, infos: Sequence[InputInfo]) -> Arrays:
        """Return by input the group that each column is in, (C,), empty texts for none; {} without groups."""
        groups = self.groups(given)
        if groups is None:
            return {}
        group_of = {c: g for g, columns in groups.items() for c in columns}
        return {
            i.name: np.asarray([group_of.get(c, "") for c in self.names[i.name]])
            for i in infos
            if i.name in self.names
        }


def stated_columns(inputs: Sequence[InputInfo], metadata: Mapping[str, str]) -> Columns:
    """Return what a model says itself of the columns of its inputs."""
    return Columns(inputs, _from(metadata, inputs))


def find_columns(given: Any, feature_names: Any, stated: Columns) -> tuple[Columns, Any]:
    """Find out how columns are called and where they go, and lay a table out.

    Each column is the input of its name, or all are one matrix input ``(N, C)``: in the order in which
    ``feature_names`` or the model's metadata (``feature_names``, a JSON list, or an object of such by input)
    names them, or else in their own.

    Parameters
    ----------
    given
        Inputs as users give them.
    feature_names
        Names of the columns of the model's only input, or a dict of such by input name; or None.
    stated
        What the model says itself.

    Returns
    -------
    columns : Columns
    inputs
        Arrays by input name of a table; anything else as it was given.

    Raises
    ------
    DataInputError
        If columns are unknown or missing, or a name or value does not fit.
    """
    inputs = stated.inputs
    plain = type(given) is np.ndarray and given.dtype.names is None  # no table, without asking further
    table = None if plain or (_fits(given, inputs) and not _is_row(given)) else read_table(given)
    if table is None:
        said = {} if feature_names is None else _stated(feature_names, inputs)
        return Columns(inputs, said) if said else stated, given
    columns = _named(list(table), feature_names, stated)
    return columns, columns.lay_out(table)


def name_columns(
    table: Sequence[str], feature_names: Any, inputs: Sequence[InputInfo], metadata: Mapping[str, str]
) -> Columns:
    """Find out where the columns of a table go, by their names alone; see :func:`find_columns`.

    Raises
    ------
    DataInputError
        If columns are unknown or missing.
    """
    return _named(table, feature_names, stated_columns(inputs, metadata))


def _named(table: Sequence[str], feature_names: Any, stated: Columns) -> Columns:
    """Find out where the columns of a table go, beside what the model says itself."""
    named = {**stated.names, **_stated(feature_names, stated.inputs)}
    return Columns(stated.inputs, _assigned(table, named, stated.inputs))


def _fits(given: Any, inputs: Sequence[InputInfo]) -> bool:
    """Tell whether something is arrays by input name already, and no table, or can be nothing else."""
    if not isinstance(given, Mapping):
        return False
    ranks = {i.name: 2 if i.shape is None else len(i.shape) for i in inputs}
    fits = True
    for name, value in given.items():
        axes = value.ndim if type(value) is np.ndarray else None
        fits = fits and name in ranks and not (ranks[name] == 2 and (axes or _axes(value)) == 1)
    return fits or not any(rank in (1, 2) for rank in ranks.values())


def _is_row(given: Any) -> bool:
    """Tell whether something is single numbers and texts by name."""
    if not isinstance(given, Mapping):
        return False
    for value in given.values():
        if type(value) is np.ndarray or not np.isscalar(value):
            return False
    return bool(given)


def _axes(value: Any) -> int | None:
    try:
        return np.ndim(value)
    except Exception:  # lists of unequal lengths, and whatever an object's own __array__ raises
        return None


def _rank(info: InputInfo) -> int:
    return 2 if info.shape is None else len(info.shape)


def _width(info: InputInfo) -> int | None:
    """Return how many columns an input has; None if it does not say."""
    if _rank(info) == 1:
        return 1
    last = info.shape[-1] if info.shape else None
    return last if isinstance(last, int) else None


def _stated(given: Any, inputs: Sequence[InputInfo]) -> dict[str, tuple[str, ...]]:
    """Check names of columns that users give."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            names = ", ".join(i.name for i in inputs)
            raise DataInputError(f"feature_names must be a dict by input name; the model takes {names}")
        given = {inputs[0].name: given}
    known = {i.name: i for i in inputs}
    found: dict[str, tuple[str, ...]] = {}
    for name, columns in given.items():
        if name not in known:
            raise DataInputError(f"feature_names has '{name}'{_near(str(name), list(known))}")
        info = known[name]
        listed = as_array(columns, f"feature_names of '{name}'")
        if listed.ndim != 1 or not all(isinstance(c, str) for c in listed.tolist()):
            raise DataInputError(f"feature_names of '{name}' are {columns!a:.60}; give a list of names")
        width = _width(info)
        if _rank(info) > 2 or width not in (None, listed.size):
            raise DataInputError(
                f"{listed.size} feature_names do not fit input '{name}' of shape {info.spelled}; give one "
                "for each of its columns"
            )
        found[name] = tuple(listed.tolist())
    everywhere = [c for columns in found.values() for c in columns]
    twice = next((c for c in everywhere if everywhere.count(c) > 1), None)
    if twice is not None:
        raise DataInputError(f"feature_names has '{twice}' twice; give each column a name of its own")
    return found


def _from(metadata: Mapping[str, str], inputs: Sequence[InputInfo]) -> dict[str, tuple[str, ...]]:
    """Return the names that a model itself gives, if they are usable."""
    if METADATA not in metadata:
        return {}
    try:
        return _stated(json.loads(metadata[METADATA]), inputs)
    except (ValueError, RecursionError):  # DataInputError is a ValueError: what a file says badly is not said
        return {}


def _assigned(
    table: Sequence[str], stated: Mapping[str, tuple[str, ...]], inputs: Sequence[InputInfo]
) -> dict[str, tuple[str, ...]]:
    """Give each input its columns."""
    found = {i.name: stated[i.name] for i in inputs if i.name in stated}
    for info in inputs:
        if info.name not in found and info.name in table and _width(info) in (None, 1) and _rank(info) < 3:
            found[info.name] = (info.name,)
    taken = [c for columns in found.values() for c in columns]
    rest = tuple(c for c in table if c not in taken)
    left = [i for i in inputs if i.name not in found]
    if len(left) == 1 and rest and (_width(left[0]) != 1 or len(inputs) == 1):
        (matrix,) = left
        width = _width(matrix)
        if _rank(matrix) not in (1, 2):
            raise DataInputError(
                f"input '{matrix.name}' has shape {matrix.spelled}, which columns of a table cannot fill; "
                "give an array"
            )
        if width not in (None, len(rest)):
            listed = ", ".join(rest[:30]) + (", ..." if len(rest) > 30 else "")
            raise DataInputError(
                f"input '{matrix.name}' has {width} columns, and the table has {len(rest)} for it "
                f"({listed}); give just those that the model was trained with, in that order, or say with "
                "feature_names= how they are called"
            )
        found[matrix.name] = rest
    elif not left:
        _refuse_unlike(taken, table)
    else:
        if all(_width(i) == 1 for i in left) or not rest:
            _refuse_unlike([c for i in inputs for c in found.get(i.name, (i.name,))], table)
        raise DataInputError(
            f"which columns are those of input '{left[0].name}' {left[0].spelled} is not clear; say it with "
            f"feature_names={{'{left[0].name}': [...], ...}}"
        )
    return {i.name: found[i.name] for i in inputs}


def _refuse_unlike(known: Sequence[str], given: Sequence[str]) -> None:
    """Refuse a table with other columns than the model's."""
    missing = [c for c in known if c not in given]
    unknown = [c for c in given if c not in known]
    if not missing and not unknown:
        return
    parts = []
    if missing:
        near = difflib.get_close_matches(missing[0], unknown or given, 1)
        hint = f" (nearest there: '{near[0]}')" if near else ""
        parts.append(f"the table lacks {_listed(missing)}{hint}")
    if unknown:
        near = difflib.get_close_matches(unknown[0], missing or known, 1)
        hint = f" (nearest: '{near[0]}')" if near and not missing else ""
        parts.append(f"the model has no {_listed(unknown)}{hint}")
    raise DataInputError(f"{' and '.join(parts)}; the model takes {', '.join(known[:30])}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ("column " if len(names) == 1 else "columns ") + ", ".join(f"'{n}'" for n in names[:5]) + more


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 3)
    return f", which is unknown; {'nearest' if near else 'known'}: {', '.join(near or known[:30])}"


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, str) for v in value)
