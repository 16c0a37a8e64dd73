"""The V1 protocol: one instance per sample, all in JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.serve.asked import Answer, Asked, Served
from onnxplain.serve.numbers import from_json, refuse_not_finite
from onnxplain.serve.refusals import RefusedError
from onnxplain.serve.targets import target_in
from onnxplain.serve.text import dumps, loads, record

__all__ = ["check_rows", "read", "write"]


def read(body: bytes, served: Served) -> Asked:
    """Read a request.

    Parameters
    ----------
    body
        ``{"instances": [...]}``: each a sample's nested list (of a model with one input), or an object of
        them by input name; to explain, also ``"parameters": {"target": ..., "method": ...}``.
    served
        What it is for.

    Raises
    ------
    RefusedError
        If it is malformed.
    """
    fields = record(loads(body), ("instances", "parameters"), "the request")
    given = record(
        fields.get("parameters") or {}, ("target", "method") if served.explains else (), "parameters"
    )
    method = given.get("method")
    if method is not None and not isinstance(method, str):
        raise RefusedError(400, f"parameter 'method' must be a text, not {method!r:.40}")
    instances = fields.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RefusedError(400, "instances must be a list with at least one sample")
    tensors = [t for t in served.inputs if not t.optional]
    names = [t.name for t in tensors]
    if len(tensors) == 1 and not isinstance(instances[0], dict):
        columns = {names[0]: instances}
    else:
        rows = [record(one, names, f"instance {k}") for k, one in enumerate(instances)]
        for name in names:
            short = next((k for k, row in enumerate(rows) if name not in row), None)
            if short is not None:
                raise RefusedError(400, f"instance {short} lacks input '{name}'")
        columns = {name: [row[name] for row in rows] for name in names}
    arrays: Arrays = {t.name: from_json(columns[t.name], t.dtype, f"input '{t.name}'") for t in tensors}
    return Asked(arrays, target_in(given.get("target"), "parameter 'target'"), method)


def check_rows(asked: Asked) -> None:
    """Make sure that the instances of a prepared request are its samples.

    Raises
    ------
    RefusedError
        If the model takes them for something else.
    """
    other = next((k for k, axis in (asked.proven or {}).items() if axis != 0), None)
    if other is not None:
        raise RefusedError(
            400,
            f"instances are no samples of this model: its samples do not lie along the first axis of input "
            f"'{other}'; ask by V2, with whole arrays",
        )


def write(answer: Answer, served: Served) -> bytes:
    """Write an answer: ``{"predictions": [...]}``, or ``{"explanations": [...]}``, one for each instance.

    A prediction is a nested list where the model has one output, else an object of them by output name; an
    explanation is an object by the names that V2 has for outputs.

    Raises
    ------
    RefusedError
        If JSON cannot tell a number.
    """
    columns = {name: _rows(array, answer.axes[name], name) for name, array in answer.outputs.items()}
    if len(columns) == 1 and not served.explains:
        content: Any = next(iter(columns.values()))
    else:
        length = len(next(iter(columns.values())))
        content = [{name: rows[k] for name, rows in columns.items()} for k in range(length)]
    return dumps({"explanations" if served.explains else "predictions": content})


def _rows(array: Array, axis: int | None, name: str) -> list[Any]:
    """Return what each sample gets."""
    if axis is None:
        raise RefusedError(
            400,
            f"output '{name}' is not told apart by samples; ask by V2",
        )
    refuse_not_finite(array, name)
    rows = np.ascontiguousarray(np.moveaxis(array, axis, 0))
    return list(rows) if rows.ndim > 1 and rows.dtype.kind not in "OUT" else rows.tolist()
