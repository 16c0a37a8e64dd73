"""Letting go of a fixed batch: constants that hold it are written anew, so that any number fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Shape
from onnxplain.graph import facts
from onnxplain.graph.batch.values import At, Value, rows_alike
from onnxplain.graph.batch.walk import Walk
from onnxplain.graph.build import Ops

__all__ = ["rewrite_batch"]

_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Writer:
    """What edits need.

    Attributes
    ----------
    op
        Writes nodes.
    found
        Tells what is known of a value at the fixed batch.
    batch
        The fixed batch.
    count
        Writes the number of samples, int64 (1,).
    """

    op: Ops
    found: Callable[[ir.Value | None], Value | None]
    batch: int
    count: Callable[[], ir.Value]

    def put(self, node: ir.Node, k: int, numbers: list[int]) -> None:
        """Give a node other constants."""
        node.replace_input_with(k, self.op.initializer(np.array(numbers, np.int64)))

    def at(self, value: ir.Value | None) -> At | None:
        """Return where samples lie in a value."""
        found = self.found(value)
        return None if found is None else found.at


def rewrite_batch(model: ir.Model, axes: Mapping[str, int | None], shapes: Mapping[str, Shape]) -> int:
    """Write what holds a fixed number of samples so that it holds any; whether that is right is to be proven.

    Parameters
    ----------
    model
        A model in normal form, whose inputs have a name for the batch; it is changed.
    axes
        Where samples lie in its inputs.
    shapes
        Of its inputs at the fixed batch.

    Returns
    -------
    int
        How many operands were written anew.
    """
    graph = model.graph
    lengths = {shapes[k][a] for k, a in axes.items() if a is not None}
    if len(lengths) != 1:
        return 0
    (batch,) = lengths
    walk = Walk((batch,), False, dict(graph.opset_imports))
    for value in graph.inputs:
        name = str(value.name)
        axis, shape = axes.get(name), shapes.get(name)
        at = None if axis is None else At(axis)
        walk.known[value] = Value(shape, 1 if value.dtype is None else int(value.dtype), at)
    walk.graph(graph)

    def found(value: ir.Value | None) -> Value | None:
        known = None if value is None else walk.known.get(value)
        return known if isinstance(known, Value) else None

    op = Ops(graph, graph.opset_imports.get("", 18), "onnxplain/batch")
    main = next(v for v in graph.inputs if axes.get(str(v.name)) is not None)
    axis = axes[str(main.name)]
    assert axis is not None
    held: list[ir.Value] = []

    def count() -> ir.Value:
        if not held:
            before, op.before = op.before, next(iter(graph))
            made = op.Shape(main, start=axis, end=axis + 1, _fold=False)
            op.before = before
            held.append(made)
        return held[0]

    writer, changed = _Writer(op, found, batch, count), 0
    for node in list(graph):
        edit = _EDITS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if edit is not None:
            op.before = node
            changed += edit(writer, node)
    op.before = None
    return changed


def _constant(value: ir.Value | None) -> Array | None:
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return np.asarray(value.const_value.numpy())


def _operand(node: ir.Node, k: int) -> ir.Value | None:
    return node.inputs[k] if k < len(node.inputs) else None


def _reshape(to: _Writer, node: ir.Node) -> int:
    """Let the entry of the samples' axis be what is left, or what the input has there."""
    target, before, after = _constant(_operand(node, 1)), to.at(node.inputs[0]), to.found(node.outputs[0])
    if target is None or before is None or after is None or after.at is None:
        return 0
    numbers, at = [int(d) for d in target], after.at
    keep = not facts.attr(node, "allowzero", 0)
    if numbers[at.axis] == -1 or (numbers[at.axis] == 0 and keep):
        return 0
    if keep and at.axis == before.axis and at.whole and before.whole:
        numbers[at.axis] = 0
    else:
        if -1 in numbers:
            left = numbers.index(-1)
            known = None if after.shape is None else after.shape[left]
            if known is None:
                return 0
            numbers[left] = known
        numbers[at.axis] = -1
    to.put(node, 1, numbers)
    return 1


def _expand(to: _Writer, node: ir.Node) -> int:
    """Do not repeat samples that are there already."""
    target, at, rank = _constant(_operand(node, 1)), to.at(node.inputs[0]), facts.rank(node.outputs[0])
    known = to.found(node.inputs[0])
    if target is None or at is None or known is None or known.shape is None or rank is None:
        return 0
    axis = at.axis + len(target) - len(known.shape)
    if axis < 0 or target[axis] == 1:
        return 0
    numbers = [int(d) for d in target]
    numbers[axis] = 1
    to.put(node, 1, numbers)
    return 1


def _resize(to: _Writer, node: ir.Node) -> int:
    """Take the length of the samples' axis from the input."""
    sizes, at = _constant(_operand(node, 3)), to.at(node.inputs[0])
    if sizes is None or at is None:
        return 0
    axes = facts.attr(node, "axes")
    order = list(axes) if isinstance(axes, (list, tuple)) else list(range(len(sizes)))
    if at.axis not in order:
        return 0
    place = order.index(at.axis)
    own = to.op.Shape(node.inputs[0], start=at.axis, end=at.axis + 1, _fold=False)
    parts = [to.op.initializer(np.array(p, np.int64)) for p in (sizes[:place], sizes[place + 1 :])]
    around = [p for p, length in zip(parts, (place, len(sizes) - place - 1), strict=True) if length]
    ordered = [*around[: 1 if place else 0], own, *around[1 if place else 0 :]]
    node.replace_input_with(3, to.op.Concat(*ordered, axis=0, _fold=False))
    return 1


def _slice(to: _Writer, node: ir.Node) -> int:
    """Let what takes all samples take all there are."""
    at = to.at(node.inputs[0])
    lists = [_constant(_operand(node, k)) for k in (1, 2, 3, 4)]
    starts, ends, axes, steps = lists
    known = to.found(node.inputs[0])
    if at is None or starts is None or ends is None or known is None or known.shape is None:
        return 0
    order = list(range(len(starts))) if axes is None else [int(a) % len(known.shape) for a in axes]
    if at.axis not in order:
        return 0
    k = order.index(at.axis)
    whole = starts[k] == 0 and ends[k] == at.length(to.batch) and (steps is None or steps[k] == 1)
    if not whole:
        return 0
    to.put(node, 2, [_END if j == k else int(e) for j, e in enumerate(ends)])
    return 1


def _concat(to: _Writer, node: ir.Node) -> int:
    """Repeat what joins every sample (a class token, say)."""
    found = to.found(node.outputs[0])
    at = None if found is None else found.at
    if at is None or facts.attr(node, "axis") == at.axis:
        return 0
    return sum(_repeat(to, node, k, at.axis) for k in range(len(node.inputs)))


def _recurrent(to: _Writer, node: ir.Node) -> int:
    """Repeat the states that all samples start from."""
    if to.at(node.inputs[0]) is None:
        return 0
    axis = 0 if facts.attr(node, "layout", 0) else 1
    return _repeat(to, node, 4, 0) + _repeat(to, node, 5, axis) + _repeat(to, node, 6, axis)


def _broadcast(to: _Writer, node: ir.Node) -> int:
    """Let one row of a constant stand for all."""
    made = to.found(node.outputs[0])
    if to.batch == 1 or made is None or made.at is None or made.shape is None:
        return 0
    changed = 0
    for k, value in enumerate(node.inputs):
        array = _constant(value)
        axis = -1 if array is None else made.at.axis - len(made.shape) + array.ndim
        known = to.found(value)
        if array is None or axis < 0 or array.shape[axis] != to.batch or known is None:
            continue
        if rows_alike(known, axis):
            node.replace_input_with(k, to.op.initializer(array.take([0], axis)))
            changed += 1
    return changed


def _repeat(to: _Writer, node: ir.Node, k: int, axis: int) -> int:
    """Give a value that depends on no sample as many equal rows as there are samples."""
    value = _operand(node, k)
    known = to.found(value)
    if value is None or known is None or known.at is not None or known.shape is None:
        return 0
    if axis >= len(known.shape) or known.shape[axis] != to.batch or not rows_alike(known, axis):
        return 0
    one = value if to.batch == 1 else to.op.Slice(value, [0], [1], [axis], _fold=False)
    before, after = [1] * axis, [1] * (len(known.shape) - axis - 1)
    parts: list[ir.Value] = [to.op.initializer(np.array(p, np.int64)) for p in (before, after) if p]
    parts.insert(1 if before else 0, to.count())
    shape = parts[0] if len(parts) == 1 else to.op.Concat(*parts, axis=0, _fold=False)
    node.replace_input_with(k, to.op.Expand(one, shape, _fold=False))
    return 1


_EDITS: dict[str, Callable[[_Writer, ir.Node], int]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Resize": _resize,
    "Slice": _slice,
    "Concat": _concat,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Where", "Max", "Min", "Equal"), _broadcast),
}
