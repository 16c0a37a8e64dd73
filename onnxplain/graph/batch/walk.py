"""The walk: every node in order, with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.batch import contents, shapes
from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, lookup
from onnxplain.graph.batch.values import FEW, At, Dims, Found, List, Lost, Mixes, Value

__all__ = ["Walk"]

_SIZE_TEXT = "it computes with the batch size"


@dataclass
class Walk:
    """What is known of every value so far.

    Attributes
    ----------
    sizes
        The batch sizes at which shape arithmetic is done; shapes are those of the first.
    free
        Whether any batch size must do.
    opsets
        Version of each domain.
    known
        What was found.
    count
        Nodes seen so far.
    """

    sizes: tuple[int, ...]
    free: bool
    opsets: dict[str, int]
    known: dict[ir.Value, Found] = field(default_factory=dict)
    count: int = 0

    def graph(self, graph: ir.Graph) -> None:
        """Walk through a graph whose inputs are known."""
        for value in graph.initializers.values():
            if value not in self.known:
                self.known[value] = self._constant(value)
        for node in graph:
            for output, found in zip(node.outputs, self._node(node), strict=True):
                self.known[output] = found

    def body(self, graph: ir.Graph, inputs: Sequence[Found | None]) -> list[Found]:
        """Walk through a body, and return its outputs."""
        for formal, found in zip(graph.inputs, inputs, strict=False):
            if found is not None:
                self.known[formal] = found
        self.graph(graph)
        return [self.known[o] for o in graph.outputs]

    def _constant(self, value: ir.Value) -> Found:
        tensor = value.const_value
        if tensor is None:
            return Value(None, 1)
        shape = tuple(int(d) for d in tensor.shape.numpy())
        small = tensor.size <= FEW
        array = np.asarray(tensor.numpy()) if small else None
        return Value(
            shape,
            int(tensor.dtype),
            contents=None if array is None else (array,) * len(self.sizes),
            constant=tensor,
        )

    def _node(self, node: ir.Node) -> list[Found]:
        self.count += 1
        order = self.count
        inputs = [None if v is None else self.known.get(v, Value(None, 1)) for v in node.inputs]
        lost = next((i for i in inputs if isinstance(i, Lost)), None)
        if lost is not None:
            return [lost] * len(node.outputs)
        try:
            return self._found(node, inputs)
        except Mixes as reason:
            return [Lost(facts.node_label(node), str(reason), order)] * len(node.outputs)

    def _found(self, node: ir.Node, inputs: list[Found | None]) -> list[Found]:
        row = lookup(node.domain, node.op_type)
        count = len(self.sizes)
        given = [None if i is None else _content(i) for i in inputs]
        if all(i is None or g is not None for i, g in zip(inputs, given, strict=True)) and inputs:
            opset = self.opsets.get("", 18)
            made = contents.compute(node, given, opset, count)
            if made is not None:
                return [self._computed(c, node, k) for k, c in enumerate(made)]
        if node.op_type in ("Shape", "Size") and (size := self._size(node, inputs[0])) is not None:
            return [size]
        touched = any(_depends(i) for i in inputs)
        if row is None or not (row.always or touched):
            if not touched and not (row is None and _has_body(node)):
                return self._results(node, inputs, None)
            raise Mixes(
                f"nothing is known about how {node.op_type} treats samples; write it in standard operators, "
                "or explain one sample at a time"
            )
        ready = [i if k in row.reads or i is None else self._as_data(i) for k, i in enumerate(inputs)]
        asked = Node(node, ready, self.sizes, self.free, self.body)
        return self._results(node, ready, row.function(asked))

    def _size(self, node: ir.Node, found: Found | None) -> Value | None:
        """Compute Shape and Size, where the shape is known."""
        if not isinstance(found, Value):
            return None
        shapes_ = [found.dims(n, self.sizes[0]) for n in self.sizes]
        lengths = [np.array(s, np.int64) for s in shapes_ if s is not None and None not in s]
        if len(lengths) < len(self.sizes):
            return None
        if node.op_type == "Size":
            made = [np.array(s.prod(), np.int64) for s in lengths]
        else:
            start, end = facts.attr(node, "start", 0), facts.attr(node, "end")
            assert isinstance(start, int)
            assert end is None or isinstance(end, int)
            made = [s[start:end] for s in lengths]
        return self._computed(contents.settled(made), node, 0)

    def _results(self, node: ir.Node, inputs: Sequence[Found | None], result: Result) -> list[Found]:
        """Give every output its shape and place."""
        parts: Sequence[At | Found | None]
        parts = result if isinstance(result, Sequence) else [result] * len(node.outputs)
        parts = [*parts, *[None] * (len(node.outputs) - len(parts))]
        opset = self.opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)
        known: list[Dims | None] | None = None
        found: list[Found] = []
        for k, (output, part) in enumerate(zip(node.outputs, parts, strict=True)):
            if isinstance(part, (Value, List, Lost)):
                found.append(replace(part, order=self.count) if isinstance(part, Lost) else part)
                continue
            if known is None:
                known = shapes.infer(node, inputs, opset)
            dtype = 1 if output.dtype is None else int(output.dtype)
            found.append(self._checked(Value(known[k], dtype, part)))
        return found

    def _checked(self, value: Value) -> Found:
        """Compare the length that a place promises with the inferred one."""
        if value.at is None:
            return value
        if value.shape is None:
            raise Mixes("the shape of what it makes is not known before running")
        axis, wanted = value.at.axis, value.at.length(self.sizes[0])
        if axis >= len(value.shape) or value.shape[axis] not in (None, wanted):
            raise Mixes(f"what it makes, {value.shape}, has no {wanted} rows along axis {axis}")
        shape = (*value.shape[:axis], wanted, *value.shape[axis + 1 :])
        return Value(shape, value.dtype, value.at, value.alike)

    def _computed(self, found: tuple[Array, ...], node: ir.Node, output: int) -> Value:
        dtype = node.outputs[output].dtype
        number = int(ir.DataType.from_numpy(found[0].dtype)) if dtype is None else int(dtype)
        return Value(found[0].shape, number, contents=found)

    def _as_data(self, found: Found) -> Found:
        """Take what was computed from the batch size for data: only what is the same for all samples."""
        if not isinstance(found, Value) or not found.sized:
            return found
        assert found.contents is not None
        arrays = found.contents
        ranks = {a.ndim for a in arrays}
        if len(ranks) == 1:
            varying = [k for k in range(ranks.pop()) if len({a.shape[k] for a in arrays}) > 1]
            if len(varying) == 1:
                axis, base = varying[0], arrays[0]
                times = base.shape[axis] // self.sizes[0]
                row = base.take([0], axis)
                if times and all(
                    a.shape[axis] == times * n and np.array_equal(np.broadcast_to(row, (*a.shape,)), a)
                    for a, n in zip(arrays, self.sizes, strict=True)
                ):
                    return Value(base.shape, found.dtype, At(axis, 1, times), alike=True)
        raise Mixes(f"{_SIZE_TEXT} (not only with shapes)")


def _content(found: Found) -> tuple[Array, ...] | None:
    return found.contents if isinstance(found, Value) and found.at is None else None


def _depends(found: Found | None) -> bool:
    """Tell whether a value depends on samples or on their number."""
    if isinstance(found, List):
        return found.element is not None and found.element.at is not None
    return isinstance(found, Value) and (found.at is not None or found.sized)


def _has_body(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
