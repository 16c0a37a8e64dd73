"""Compute ahead what does not depend on the input.

Cases: nodes whose operands are all constant; ``Shape`` and ``Size`` of values with a static shape; one
static axis picked out of a ``Shape`` by ``Gather``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.evaluate import FOLDABLE_BYTES, evaluate, is_pure

__all__ = ["MOST_BYTES", "FoldConstants"]

#: How many bytes of large constants may be computed, beyond a multiple of the weights.
MOST_BYTES = 1 << 26


class FoldConstants(ir.passes.InPlacePass):
    """Replace nodes by initializers, in one walk forward (so that chains fold).

    Chains in which each result is larger than the one before end where all results together are
    :data:`MOST_BYTES` larger than four times the weights; one instance counts over all its runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: int | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        if self._left is None:
            held = (v.const_value for v in model.graph.initializers.values())
            self._left = MOST_BYTES + 4 * sum(facts.n_bytes(t) for t in held if t is not None)
        opset = model.graph.opset_imports.get("", 18)
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            modified |= self._fold(graph, opset)
        return ir.passes.PassResult(model, modified)

    def _fold(self, graph: ir.Graph, opset: int) -> bool:
        modified = False
        for node in list(graph):
            arrays = self._compute(node, opset)
            if arrays is None or not self._spend(sum(a.nbytes for a in arrays)):
                continue
            marked = not _is_constant(node) or any(facts.is_of_lengths(i) for i in node.inputs)
            for output, array in zip(node.outputs, arrays, strict=True):
                if not output.uses() and not output.is_graph_output():
                    continue
                tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=output.name)
                value = ir.Value(
                    name=output.name,
                    shape=ir.Shape(array.shape),
                    type=ir.TensorType(tensor.dtype),
                    const_value=tensor,
                )
                if marked:
                    value.metadata_props[facts.LENGTHS_KEY] = ""
                output.name = None
                ir.convenience.replace_all_uses_with(output, value)
                graph.register_initializer(value)
            graph.remove(node, safe=True)
            modified = True
        return modified

    def _spend(self, size: int) -> bool:
        assert self._left is not None
        if size > min(self._left, FOLDABLE_BYTES):
            if size > self._left:
                return False
            self._left -= size
        return True

    def _compute(self, node: ir.Node, opset: int) -> list[Array] | None:
        if any(o.is_graph_output() for o in node.outputs) or not is_pure(node) or not node.inputs:
            return None
        if node.op_type in ("Shape", "Size", "Gather"):
            found = _shape_fact(node)
            if found is not None:
                return [found]
        if not _is_constant(node):
            return None
        return evaluate(node, [facts.constant(i) for i in node.inputs], opset)


def _is_constant(node: ir.Node) -> bool:
    """Tell whether all that a node takes is constant."""
    return all(i is None or facts.is_constant(i) for i in node.inputs)


def _shape_fact(node: ir.Node) -> Array | None:
    source = node.inputs[0]
    if source is None:
        return None
    if node.op_type == "Gather":
        maker, index = source.producer(), facts.constant(node.inputs[1])
        if maker is None or maker.op_type != "Shape" or maker.attributes or index is None:
            return None
        shape = facts.dims(maker.inputs[0]) if maker.inputs[0] is not None else None
        if shape is None or any(not -len(shape) <= i < len(shape) for i in index.ravel()):
            return None
        picked = [shape[int(i)] for i in index.ravel()]
        if not all(isinstance(d, int) for d in picked):
            return None
        return np.array(picked, np.int64).reshape(index.shape)
    if node.op_type == "Size":
        static = facts.static_shape(source)
        return None if static is None else np.array(int(np.prod(static, dtype=np.int64)), np.int64)
    start, end = facts.attr(node, "start", 0), facts.attr(node, "end")
    assert isinstance(start, int)
    assert end is None or isinstance(end, int)
    lengths = facts.dims(source)
    asked = None if lengths is None else lengths[start:end]
    if asked is None or not all(isinstance(d, int) for d in asked):
        return None
    return np.array(asked, np.int64)
