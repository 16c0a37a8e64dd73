"""Shape arithmetic: small integers computed at every batch size tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.batch.values import FEW
from onnxplain.graph.evaluate import evaluate, is_pure

__all__ = ["compute", "settled"]

Calculator: TypeAlias = "Callable[[ir.Node, Sequence[Array | None]], Array | None]"


def compute(
    node: ir.Node, inputs: Sequence[Sequence[Array] | None], opset: int, count: int
) -> list[tuple[Array, ...]] | None:
    """Compute a node at each batch size.

    Parameters
    ----------
    node
        The node.
    inputs
        Per input one content for each batch size, None for an omitted input.
    opset
        Version of the standard.
    count
        Number of batch sizes.

    Returns
    -------
    list or None
        Per output one content for each batch size; None if it cannot be computed, or is too large.
    """
    if not is_pure(node):
        return None
    rows: list[list[Array]] = []
    for k in range(count):
        given = [None if i is None else i[k] for i in inputs]
        if k and all(i is None or i[k] is i[k - 1] for i in inputs):
            rows.append(rows[-1])
            continue
        row = _one(node, given, opset)
        if row is None or any(a.size > FEW for a in row):
            return None
        rows.append(row)
    outputs = list(zip(*rows, strict=True))
    return [settled(o) for o in outputs]


def settled(contents: Sequence[Array]) -> tuple[Array, ...]:
    """Let equal contents be one object, so that what follows is computed once."""
    first = contents[0]
    if all(c is first or (c.shape == first.shape and np.array_equal(c, first)) for c in contents):
        return (first,) * len(contents)
    return tuple(contents)


def _one(node: ir.Node, inputs: Sequence[Array | None], opset: int) -> list[Array] | None:
    quick = _QUICK.get(node.op_type)
    if quick is not None:
        with np.errstate(all="ignore"):
            try:
                found = quick(node, inputs)
            except (IndexError, TypeError, ValueError):
                return None  # the model cannot run like this
        if found is not None:
            return [np.asarray(found)]
    if _huge(node, inputs):
        return None
    return evaluate(node, inputs, opset)


def _huge(node: ir.Node, inputs: Sequence[Array | None]) -> bool:
    """Tell whether a node would make a large array of small ones."""
    if node.op_type in ("ConstantOfShape", "Expand", "Tile"):
        counts = inputs[0 if node.op_type == "ConstantOfShape" else 1]
        return counts is not None and bool(np.prod(counts.astype(np.float64)) > FEW)
    if node.op_type == "Range":
        start, stop, step = (float(np.ravel(i)[0]) for i in inputs if i is not None)
        return step == 0 or (stop - start) / step > FEW
    return False


def _axes(node: ir.Node, inputs: Sequence[Array | None]) -> tuple[int, ...] | None:
    given = inputs[1] if len(inputs) > 1 else None
    return None if given is None else tuple(int(a) for a in np.ravel(given))


def _gather(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    data, indices = inputs
    assert data is not None
    assert indices is not None
    axis = facts.attr(node, "axis", 0)
    assert isinstance(axis, int)
    return np.take(data, indices.astype(np.int64), axis=axis)


def _concat(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    axis = facts.attr(node, "axis")
    assert isinstance(axis, int)
    return np.concatenate([i for i in inputs if i is not None], axis=axis)


def _unsqueeze(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    axes = _axes(node, inputs)
    return None if axes is None or inputs[0] is None else np.expand_dims(inputs[0], axes)


def _squeeze(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    return None if inputs[0] is None else np.squeeze(inputs[0], _axes(node, inputs))


def _cast(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    to = facts.attr(node, "to")
    assert isinstance(to, int)
    dtype = ir.DataType(to)
    plain = dtype in (facts.FLOATS | facts.INTEGERS | {ir.DataType.BOOL}) and dtype != ir.DataType.BFLOAT16
    x = inputs[0]
    if x is None or not plain or x.dtype.kind not in "biuf":
        return None
    return x.astype(dtype.numpy())


def _div(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    a, b = inputs
    assert a is not None
    assert b is not None
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not np.all(b):
        return None
    quotient = np.abs(a) // np.abs(b)  # integers are cut towards zero
    return np.asarray(np.sign(a) * np.sign(b) * quotient).astype(a.dtype)


def _slice(node: ir.Node, inputs: Sequence[Array | None]) -> Array | None:
    x, starts, ends, axes, steps = (inputs[k] if k < len(inputs) else None for k in range(5))
    if x is None or starts is None or ends is None:
        return None
    order = range(len(starts)) if axes is None else [int(a) for a in axes]
    cuts = [slice(None)] * x.ndim
    for k, axis in enumerate(order):
        step = 1 if steps is None else int(steps[k])
        if step < 1:
            return None
        cuts[axis] = slice(int(starts[k]), int(ends[k]), step)
    return x[tuple(cuts)]


def _binary(function: Callable[..., Array]) -> Calculator:
    return lambda node, inputs: function(*inputs)


_QUICK: dict[str, Calculator] = {
    "Add": _binary(np.add),
    "And": _binary(np.logical_and),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _div,
    "Equal": _binary(np.equal),
    "Gather": _gather,
    "Greater": _binary(np.greater),
    "Identity": lambda node, inputs: inputs[0],
    "Less": _binary(np.less),
    "Mul": _binary(np.multiply),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Unsqueeze": _unsqueeze,
    "Where": _binary(np.where),
}
