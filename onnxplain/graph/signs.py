"""Which values can never be negative: what lets rules leave branches out."""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["non_negative"]

_ALWAYS = frozenset(
    """Relu Sigmoid HardSigmoid Softmax Softplus Exp Abs ReduceL1 ReduceL2 ReduceSumSquare Sqrt
    ThresholdedRelu""".split()
)
_IF_INPUT = frozenset(
    """MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool GlobalLpPool LRN Identity Dropout
    Reshape Flatten Squeeze Unsqueeze Transpose Slice Split Gather Expand Tile DepthToSpace
    SpaceToDepth ReduceMean ReduceSum ReduceMax ReduceMin Cast Pad""".split()
)
_IF_ALL = frozenset(["Add", "Mul", "Sum", "Mean", "Concat", "Max", "Min", "Div"])


def non_negative(value: ir.Value | None, seen: dict[ir.Value, bool] | None = None) -> bool:
    """Tell whether a value is certainly >= 0 everywhere, whatever the input.

    Parameters
    ----------
    value
        A value of a graph in normal form.
    seen
        What is known of other values; it grows, so that many questions on one graph cost one walk.
    """
    return value is not None and _look(value, {} if seen is None else seen)


def _look(value: ir.Value, seen: dict[ir.Value, bool]) -> bool:
    stack = [value]
    while stack:
        current = stack[-1]
        if current in seen:
            stack.pop()
            continue
        node = current.producer()
        if node is None:
            array = facts.constant(current)
            seen[current] = array is not None and array.dtype.kind == "f" and bool((array >= 0).all())
            continue
        if node.domain not in ("", "ai.onnx"):
            seen[current] = False
        elif node.op_type in _ALWAYS:
            seen[current] = True
        elif node.op_type == "Clip":
            low = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
            seen[current] = low is not None and float(low) >= 0
        elif node.op_type not in _IF_INPUT | _IF_ALL:
            seen[current] = False
        else:
            wanted = _deciding(node)
            waiting = [i for i in wanted if i not in seen]
            if waiting:
                stack.extend(waiting)
                continue
            seen[current] = all(seen[i] for i in wanted)
    return seen[value]


def _deciding(node: ir.Node) -> list[ir.Value]:
    """Return the inputs whose signs decide the output's."""
    if node.op_type in _IF_ALL:
        deciding = list(node.inputs)
    elif node.op_type == "Pad" and facts.attr(node, "mode", "constant") == "constant":
        deciding = [node.inputs[0], *node.inputs[2:3]]  # the fill counts too
    else:
        deciding = list(node.inputs[:1])
    return [i for i in deciding if i is not None]
