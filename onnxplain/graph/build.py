"""Writing nodes: ``op.Mul(a, b)`` appends a node to a graph and returns its output.

Python numbers and arrays become constants of the dtype of the other operands, a node whose operands are
all constant is computed at once instead of written, and each new node is named after the node that it
explains. Inside :meth:`Ops.arithmetic`, graph values understand ``+ - * /``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.errors import MethodError
from onnxplain.forking import Lock
from onnxplain.graph import facts
from onnxplain.graph.evaluate import evaluate, is_pure
from onnxplain.graph.infer import infer_dims, infer_dtype

__all__ = ["Operand", "Ops", "fitting"]

Operand: TypeAlias = "ir.Value | Array | Sequence[int] | float | bool | None"

# onnx_ir keeps one arithmetic handler per process; whoever rewrites holds this lock meanwhile.
_ARITHMETIC = Lock()


class Ops:
    """Appends nodes to the end of a graph (or before the node :attr:`before`, where one is set).

    Parameters
    ----------
    graph
        The graph that grows.
    opset
        Version of the standard in which the nodes are written.
    scope
        Prefix of the names of new nodes and values.
    """

    def __init__(self, graph: ir.Graph, opset: int, scope: str = "onnxplain") -> None:
        self.graph = graph
        self.opset = opset
        self.scope = scope
        self.before: ir.Node | None = None
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        """Return a writer of nodes of this type (names of operators start with a capital)."""
        if not op_type[:1].isupper():
            raise AttributeError(op_type)
        return lambda *inputs, **attrs: self.emit(op_type, inputs, attrs)

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Let ``a * b`` on graph values write into this graph, for the length of a ``with`` block."""
        with _ARITHMETIC():
            before = ir.set_value_magic_handler(self)
            try:
                yield
            finally:
                ir.set_value_magic_handler(before)

    def const(self, content: Any, dtype: ir.DataType | None = None) -> ir.Value:
        """Return an initializer with this content; equal constants are stored once."""
        array = np.asarray(content)
        if dtype is not None:
            array = array.astype(dtype.numpy())
        elif array.dtype == np.int32 or (array.size == 0 and not isinstance(content, np.ndarray)):
            array = array.astype(np.int64)
        small = array.nbytes <= 1024
        key = (str(array.dtype), array.shape, array.tobytes()) if small else None
        if key is not None and key in self._constants:
            return self._constants[key]
        value = self.initializer(array)
        if key is not None:
            self._constants[key] = value
        return value

    def initializer(self, array: Array, name: str | None = None) -> ir.Value:
        """Store an array as a new initializer."""
        name = name or self._name("const")
        tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def emit(
        self, op_type: str, inputs: Sequence[Operand], attrs: dict[str, Any] | None = None
    ) -> ir.Value | tuple[ir.Value, ...]:
        """Append one node.

        Parameters
        ----------
        op_type
            Operator of the standard domain, or of ``_domain``.
        inputs
            Values; numbers and arrays become constants of the first value's dtype; None is an omitted
            input.
        attrs
            Attributes; None ones are left out. ``_outputs`` (default 1) is the number of outputs,
            ``_domain`` the operator's domain, ``_fold=False`` writes the node even on constant operands.
        """
        attrs = {k: v for k, v in (attrs or {}).items() if v is not None}
        n_outputs = int(attrs.pop("_outputs", 1))
        domain = str(attrs.pop("_domain", ""))
        fold = bool(attrs.pop("_fold", True))
        values = self._values(inputs)
        node = ir.node(op_type, values, attrs, domain=domain, num_outputs=n_outputs)
        made = self._append(node, fold)
        return made[0] if n_outputs == 1 else made

    def clone(self, node: ir.Node, inputs: Sequence[ir.Value | None]) -> tuple[ir.Value, ...]:
        """Append a copy of a node with other inputs (its forward, modified)."""
        copy = ir.Node(
            node.domain, node.op_type, inputs, node.attributes.values(), num_outputs=len(node.outputs)
        )
        made = self._append(copy)
        for new, old in zip(made, node.outputs, strict=True):
            if node.domain and old.dtype is not None:  # that of its first input is a guess (LabelEncoder's)
                new.type = ir.TensorType(old.dtype)
            self.annotate(new, old)
        return made

    def annotate(self, value: ir.Value, like: ir.Value) -> ir.Value:
        """State that a new value has another's dtype and shape; returns it."""
        if value.dtype is None and like.dtype is not None:
            value.type = ir.TensorType(like.dtype)
        if like.shape is not None and (value.shape is None or facts.static_shape(value) is None):
            value.shape = like.shape.copy()
        return value

    def fresh(self, what: str) -> str:
        """Return a name that no other node or value has."""
        return self._name(what)

    def _append(self, node: ir.Node, fold: bool = True) -> tuple[ir.Value, ...]:
        folded = self._fold(node) if fold else None
        if folded is not None:
            return folded
        node.name = self._name(node.op_type)
        for k, output in enumerate(node.outputs):
            output.name = node.name if len(node.outputs) == 1 else f"{node.name}.{k}"
            dtype = infer_dtype(node, k)
            if dtype is not None:
                output.type = ir.TensorType(dtype)
            shape = infer_dims(node, k)
            if shape is not None:
                output.shape = ir.Shape(shape)
        if self.before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self.before, node)
        return tuple(node.outputs)

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{self.scope}/{what}_{self._count}"

    def _values(self, inputs: Sequence[Operand]) -> list[ir.Value | None]:
        unlike = (None, ir.DataType.BOOL)  # Where's condition says nothing of its branches
        dtype = next((i.dtype for i in inputs if isinstance(i, ir.Value) and i.dtype not in unlike), None)
        out: list[ir.Value | None] = []
        for operand in inputs:
            if operand is None or isinstance(operand, ir.Value):
                out.append(operand)
            elif isinstance(operand, (int, float, np.generic)) and not isinstance(operand, bool):
                out.append(self.const(fitting(operand, dtype), dtype))
            else:
                out.append(self.const(operand))
        return out

    def _fold(self, node: ir.Node) -> tuple[ir.Value, ...] | None:
        if not node.inputs or not is_pure(node):
            return None
        if not all(i is None or facts.is_constant(i) for i in node.inputs):
            return None
        arrays = evaluate(node, [facts.constant(i) for i in node.inputs], self.opset)
        if arrays is None:
            return None
        for i in range(len(node.inputs)):  # leave no dangling use behind
            node.replace_input_with(i, None)
        return tuple(self.const(a, ir.DataType.from_numpy(a.dtype)) for a in arrays)


def fitting(content: Any, dtype: ir.DataType | None) -> Any:
    """Return a number, or several, that are to become a constant of a dtype.

    Raises
    ------
    MethodError
        If one is finite, and would be infinite.
    """
    if dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        size = np.abs(np.asarray(content, np.float64))
        largest = float(np.finfo(dtype.numpy()).max)
        if bool((np.isfinite(size) & (size > largest)).any()):
            raise MethodError(
                f"{size.max():g} is too large for {dtype.name.lower()} (up to {largest:g}); give a smaller "
                "number as option of the method"
            )
    return content
