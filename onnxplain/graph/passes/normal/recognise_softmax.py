"""Write ``exp(x - m) / sum exp(x - m)`` as Softmax.

TensorFlow and JAX export softmax in pieces.  As one operator its gradient is stable, relevance rules know
it, and a classifier that ends in it is explained at the score before it.  Whatever m is, it cancels, as long
as it is the same along the axis.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place

__all__ = ["RecogniseSoftmax"]

_STRETCHING = ("Expand", "Reshape", "Unsqueeze", "Identity")


class RecogniseSoftmax(NodePass):
    """Replace the Div; what nobody else uses becomes unused."""

    operators = frozenset({"Div"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write Softmax in its place, if it closes one."""
        return _replace(graph, node)


def _replace(graph: ir.Graph, div: ir.Node) -> bool:
    numerator, denominator = div.inputs
    exp = _made_by(numerator, "Exp")
    if exp is None or numerator is None:
        return False
    axis = _summed_axis(denominator, numerator)
    if axis is None:
        return False
    scores = exp.inputs[0]
    shifted = _made_by(scores, "Sub")
    if shifted is not None and _is_even(shifted.inputs[1], shifted.inputs[0], axis):
        scores, shift = shifted.inputs[0], shifted.inputs[1]
        own = facts.rank(numerator) == 2 and _is_maximum(shift, scores)  # one per row: it stretches nothing
        if scores is None or not (own or facts.same_shape(facts.dims(scores), facts.dims(numerator))):
            return False
    made = ir.node("Softmax", [scores], {"axis": axis}, name=div.name)
    graph.insert_before(div, made)
    take_place(div.outputs[0], made.outputs[0])
    graph.remove(div, safe=True)
    return True


def _made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type and node.domain in ("", "ai.onnx") else None


def _unstretched(value: ir.Value | None) -> ir.Value | None:
    """Go back through what only stretches a value or gives it axes."""
    while value is not None:
        node = value.producer()
        if node is None or node.op_type not in _STRETCHING or node.domain not in ("", "ai.onnx"):
            return value
        value = node.inputs[0]
    return None


def _is_maximum(value: ir.Value | None, of: ir.Value | None) -> bool:
    """Tell whether a value is the maximum of another along an axis, perhaps kept above a constant."""
    value = _unstretched(value)
    bounded = _made_by(value, "Max")
    if bounded is not None:
        varied = [v for v in bounded.inputs if v is not None and not facts.is_constant(v)]
        value = _unstretched(varied[0]) if len(varied) == 1 else None
    node = _made_by(value, "ReduceMax")
    return node is not None and node.inputs[0] is of


def _summed_axis(value: ir.Value | None, summed: ir.Value) -> int | None:
    """Return the axis over which a value is the sum of another, whose shape it fits; None if it is not."""
    node = _made_by(_unstretched(value), "ReduceSum")
    rank = facts.rank(summed)
    if value is None or node is None or node.inputs[0] is not summed or rank is None:
        return None
    axes = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or axes.size != 1:
        return None
    axis = int(axes.ravel()[0]) % rank
    return axis if _is_even(value, summed, axis) and _fits(value, summed, axis) else None


def _fits(value: ir.Value, like: ir.Value, axis: int) -> bool:
    """Tell whether a sum that was given its axis back stands where it was taken from."""
    dims, wide = facts.dims(value), facts.dims(like)
    if dims is None or wide is None or len(dims) != len(wide):
        return False
    if len(wide) == 2:
        return True  # there are as many sums as rows, so they cannot stand elsewhere
    pairs = [(a, b) for k, (a, b) in enumerate(zip(dims, wide, strict=True)) if k != axis]
    return all(a is not None and a == b for a, b in pairs)


def _is_even(value: ir.Value | None, like: ir.Value | None, axis: int) -> bool:
    """Tell whether a value that broadcasts to another is certainly the same along an axis of it."""
    if value is None or like is None:
        return False
    rank = facts.rank(like)
    while True:
        dims = facts.dims(value)
        if dims is None or rank is None or len(dims) > rank:
            return False
        at = axis - (rank - len(dims))
        if at < 0 or dims[at] == 1:
            return True
        node = value.producer()
        if node is None or node.op_type != "Expand" or node.inputs[0] is None:
            return False
        value = node.inputs[0]
