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
from onnxplain.graph.batch.table import Result, Row, lookup
from onnxplain.graph.batch.taint import data_of, marked, taint_of
from onnxplain.graph.batch.values import FEW, At, Dims, Found, List, Lost, Mixes, Value

__all__ = ["UNKNOWN", "Walk"]

_SIZE_TEXT = "it computes with the batch size, or numbers the samples (not only in shapes)"
#: What is known of values that the walk does not reach.
UNKNOWN = Lost("a node", "reads a value of which nothing is known")
_FLOAT, _BOOL = 1, 9
#: The first stand-in for a length that is not known before running: no real length is likely to be like it.
_LARGE = 10_007


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
    alone
        Whether every sample runs alone, so that what finds the range of a quantised tensor sees only one.
    known
        What was found.
    count
        Nodes seen so far.
    guesses
        Stand-ins for lengths that are not known before running.
    """

    sizes: tuple[int, ...]
    free: bool
    opsets: dict[str, int]
    alone: bool = False
    known: dict[ir.Value, Found] = field(default_factory=dict)
    count: int = 0
    guesses: dict[object, int] = field(default_factory=dict)

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
                self.known[formal] = self._filled(found, formal) if isinstance(found, Value) else found
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
        inputs = [None if v is None else self.known.get(v, UNKNOWN) for v in node.inputs]
        lost = next((i for i in inputs if isinstance(i, Lost)), None)
        if lost is not None:
            return [lost] * len(node.outputs)
        if self.alone and facts.RANGE_KEY in node.metadata_props:
            return [Value((), _FLOAT)]
        ready = inputs
        try:
            computed = self._arithmetic(node, inputs)
            if computed is not None:
                return computed
            row = lookup(node.domain, node.op_type)
            reads = () if row is None else row.reads
            ready = [i if k in reads else self._as_data(i, node) for k, i in enumerate(inputs)]
            return self._found(node, row, ready)
        except Mixes as reason:
            found = Lost(facts.node_label(node), str(reason), order)
        except (IndexError, ValueError):  # axes that are not there, shapes that do not broadcast
            found = Lost(facts.node_label(node), "its inputs do not fit together at every batch size", order)
        taint = taint_of(ready)
        return [found if taint is None else taint] * len(node.outputs)

    def _arithmetic(self, node: ir.Node, inputs: Sequence[Found | None]) -> list[Found] | None:
        """Compute what has nothing to do with the samples' content."""
        guess = any(isinstance(i, Value) and i.guess for i in inputs)
        if node.op_type in ("Shape", "Size") and node.domain in ("", "ai.onnx"):
            made = self._size(node, inputs[0])
            return None if made is None else [replace(made, guess=guess)]
        given = [None if i is None else _content(i) for i in inputs]
        if not inputs or any(i is not None and g is None for i, g in zip(inputs, given, strict=True)):
            return None
        rows = contents.compute(node, given, self.opsets.get("", 18), len(self.sizes))
        if rows is None:
            return None
        found = [self._computed(c, node, k) for k, c in enumerate(rows)]
        # what a comparison with a stand-in gives is not known
        return [
            replace(f, guess=guess, contents=None if guess and f.dtype == _BOOL else f.contents)
            for f in found
        ]

    def _found(self, node: ir.Node, row: Row | None, inputs: list[Found | None]) -> list[Found]:
        touched = any(_depends(i) for i in inputs)
        if row is None and (touched or _has_body(node)):
            raise Mixes(
                f"nothing is known about how {node.op_type} treats samples; write it in standard operators, "
                "or explain one sample at a time"
            )
        if row is None or not (row.always or touched):
            return self._results(node, inputs, None)
        found = self._results(
            node, inputs, row.function(Node(node, inputs, self.sizes, self.free, self.body))
        )
        return marked(node, row, inputs, found)

    def _size(self, node: ir.Node, found: Found | None) -> Value | None:
        """Compute Shape and Size, where the shape is known."""
        if not isinstance(found, Value):
            return None
        known = [found.dims(n, self.sizes[0]) for n in self.sizes]
        lengths = [np.array(s, np.int64) for s in known if s is not None and None not in s]
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
        parts = [*parts, *[None] * (len(node.outputs) - len(parts))][: len(node.outputs)]
        opset = self.opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)
        known: list[Dims | None] | None = None
        guess = any(isinstance(i, Value) and i.guess for i in inputs)
        found: list[Found] = []
        for k, (output, part) in enumerate(zip(node.outputs, parts, strict=True)):
            if isinstance(part, Lost):
                found.append(replace(part, order=self.count))
            elif isinstance(part, List):
                inner = part.element
                found.append(
                    List(
                        None
                        if inner is None
                        else self._filled(replace(inner, guess=inner.guess or guess), output)
                    )
                )
            else:
                if not isinstance(part, Value):
                    if known is None:
                        known = shapes.infer(node, inputs, opset)
                    dtype = 1 if output.dtype is None else int(output.dtype)
                    part = self._checked(Value(known[k], dtype, part))
                found.append(self._filled(replace(part, guess=part.guess or guess), output))
        return found

    def _filled(self, value: Value, source: ir.Value) -> Value:
        """Let stand-ins take the place of lengths that are not known before running."""
        if value.shape is None or None not in value.shape:
            return value
        shape = tuple(
            self.guesses.setdefault((_measure(source, k), k), _LARGE + len(self.guesses)) if d is None else d
            for k, d in enumerate(value.shape)
        )
        return replace(value, shape=shape, guess=True)

    def _checked(self, value: Value) -> Value:
        """Compare the length that a place promises with the inferred one."""
        if value.at is None:
            return value
        if value.shape is None:
            raise Mixes("the shape of what it makes is not known before running")
        axis, wanted = value.at.axis, value.at.length(self.sizes[0])
        if axis >= len(value.shape) or value.shape[axis] not in (None, wanted):
            raise Mixes(f"what it makes, {value.shape}, has no {wanted} rows along axis {axis}")
        return replace(value, shape=(*value.shape[:axis], wanted, *value.shape[axis + 1 :]))

    def _computed(self, found: tuple[Array, ...], node: ir.Node, output: int) -> Value:
        dtype = node.outputs[output].dtype
        number = int(ir.DataType.from_numpy(found[0].dtype)) if dtype is None else int(dtype)
        return Value(found[0].shape, number, contents=found)

    def _as_data(self, found: Found | None, node: ir.Node) -> Found | None:
        """Take what was computed from the batch size for data: fine if it is the same for all samples."""
        if not isinstance(found, Value) or not found.sized:
            return found
        return data_of(found, self.sizes, Lost(facts.node_label(node), _SIZE_TEXT, self.count))


def _measure(source: ir.Value, axis: int) -> object:
    """Name what a length is that of: a Loop's first axes all count its steps."""
    node = source.producer()
    if node is not None and node.op_type == "Loop" and not axis:
        carried, index = len(node.inputs) - 2, source.index()
        if index is not None and index >= carried:
            return node
    return source


def _content(found: Found) -> tuple[Array, ...] | None:
    return found.contents if isinstance(found, Value) and found.at is None and found.taint is None else None


def _depends(found: Found | None) -> bool:
    """Tell whether a value depends on samples or on their number."""
    value = found.element if isinstance(found, List) else found
    return isinstance(value, Value) and (value.at is not None or value.sized or value.taint is not None)


def _has_body(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
