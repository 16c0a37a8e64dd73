"""Products of a walk back in float16, where that is accurate: scaled, so that nothing overflows or vanishes.

Each operand is divided by its largest size first (of each row, each column, or each sample, which no other
touches), and the product multiplied by it again in float32.  No entry is larger than 1 then, so that a sum is
no larger than its length, and an entry that becomes 0 is smaller than the largest by a factor of ten million.

Errors of float16 (one in two thousand) must stay small behind a product: what it makes may be added,
multiplied and moved.  It may not decide anything (masks, maxima that are looked up), stand below a quotient
(stabilisers, LRP's epsilon), or enter a root or an exponential (softmax).  Products whose operands are
quotients of computed values stay as they are too: these may differ by more than float16 holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnxplain.exported_file import graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.traits import Is, is_a

__all__ = ["halve_products"]

_HALF, _WIDE = int(ir.DataType.FLOAT16), int(ir.DataType.FLOAT)
#: Sums of more products may overflow in float16.
_LONGEST = 1 << 14
#: Weights whose largest entry is between these are not scaled.
_LOW, _HIGH = 2.0**-6, 1.0
_TINY = np.float32(1e-30)
_CONVOLUTIONS = ("Conv", "ConvTranspose")
#: Errors of any operand stay as small in what these make.
_SMOOTH = frozenset(
    "Identity Neg Add Sub Sum Mean Mul MatMul Gemm Conv ConvTranspose Einsum ReduceSum ReduceMean "
    "AveragePool GlobalAveragePool Relu Abs Max Min Clip Concat".split()
)
#: Those of these operands alone.
_SMOOTH_IN = {"Div": (0,), "Where": (1, 2), "ScatterElements": (0, 2), "ScatterND": (0, 2), "CumSum": (0,)}
#: What they make may differ by more than float16 holds.
_WILD = frozenset("Reciprocal Exp Log Pow".split())


def halve_products(model: ir.Model) -> int:
    """Compute products of walks back in float16 where that is accurate.

    Parameters
    ----------
    model
        The file's graph, in float32, whose written nodes are still marked; it is changed.

    Returns
    -------
    int
        How many.
    """
    around = {g: node for node in model.graph.all_nodes() for g in _bodies(node)}
    homes = {v: graph for graph in graphs_of(model) for v in graph.initializers.values()}
    chosen = [
        node
        for graph in graphs_of(model)
        for node in graph
        if facts.is_written(node) and _is_product(node) and _stays_small(node.outputs[0], around)
        and all(_is_tame(v) for v in node.inputs if v is not None)
    ]  # fmt: skip
    weights: dict[ir.Value, tuple[ir.Value, float]] = {}
    for count, node in enumerate(chosen):
        _halve(node, homes, weights, f"onnxplain/half/{count}")
    return len(chosen)


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def _is_product(node: ir.Node) -> bool:
    """Whether a node multiplies by a weight, or two computed values, with sums that are short enough."""
    if node.domain not in ("", "ai.onnx") or any(v is None for v in node.inputs) or len(node.inputs) != 2:
        return False
    a, b = node.inputs
    assert a is not None
    assert b is not None
    if a.dtype != ir.DataType.FLOAT or b.dtype != ir.DataType.FLOAT:
        return False
    shape = facts.static_shape(b)
    if node.op_type in _CONVOLUTIONS:
        if shape is None or not facts.is_constant(b):
            return False
        summed = shape[1:] if node.op_type == "Conv" else (shape[0], *shape[2:])
        return math.prod(summed) <= _LONGEST
    if node.op_type == "Gemm":
        plain = not facts.attr(node, "transA", 0) and facts.attr(node, "alpha", 1.0) == 1.0
        turned = bool(facts.attr(node, "transB", 0))
        return plain and facts.is_constant(b) and shape is not None and shape[1 if turned else 0] <= _LONGEST
    if node.op_type != "MatMul" or facts.is_constant(a):
        return False
    ranks, dims = (facts.rank(a), facts.rank(b)), facts.dims(b)
    if None in ranks or min(r or 0 for r in ranks) < 2 or dims is None:
        return False
    return isinstance(dims[-2], int) and dims[-2] <= _LONGEST


def _stays_small(value: ir.Value, around: Mapping[ir.Graph, ir.Node]) -> bool:
    """Whether an error of a value stays small in everything that is made of it."""
    seen, stack = {value}, [value]
    while stack:
        for made in _made_of(stack.pop(), around):
            if made is None:
                return False
            if made not in seen:
                seen.add(made)
                stack.append(made)
    return True


def _made_of(value: ir.Value, around: Mapping[ir.Graph, ir.Node]) -> Iterator[ir.Value | None]:
    """Yield what is made of a value; None for what does not keep errors small."""
    for node, index in value.uses():
        if node.op_type == "Loop":
            yield node.attributes["body"].as_graph().inputs[index] if index >= 2 else None
        elif node.domain not in ("", "ai.onnx") or not _keeps(node, index):
            yield None
        else:
            yield from (v for v in node.outputs if facts.is_float(v))
    graph = value.graph
    if isinstance(graph, ir.Graph) and graph in around and value.is_graph_output():
        yield from _out_of(around[graph], graph, value)


def _keeps(node: ir.Node, index: int) -> bool:
    if node.op_type in _SMOOTH:
        return True
    if node.op_type in _SMOOTH_IN:
        return index in _SMOOTH_IN[node.op_type]
    if node.op_type == "Cast":
        return all(map(facts.is_float, node.outputs))
    return is_a(node, Is.MOVES) and not is_a(node, Is.PICKS) and index == 0


def _out_of(node: ir.Node, graph: ir.Graph, value: ir.Value) -> Iterator[ir.Value | None]:
    for place, output in enumerate(graph.outputs):
        if output is not value:
            continue
        if node.op_type == "If":
            yield node.outputs[place]
        elif node.op_type == "Loop" and place:
            yield node.outputs[place - 1]
            if place + 1 < len(graph.inputs):
                yield graph.inputs[place + 1]
        else:
            yield None


def _is_tame(value: ir.Value) -> bool:
    """Whether no quotient of computed values, nor the like, stands between an operand and a product."""
    seen, stack = {value}, [value]
    while stack:
        node = stack.pop().producer()
        if node is None or node.op_type in ("MatMul", "Gemm", *_CONVOLUTIONS):
            continue
        divided = node.op_type == "Div" and not facts.is_constant(node.inputs[1])
        if divided or node.op_type in _WILD:
            return False
        stack += [v for v in node.inputs if v is not None and facts.is_float(v) and v not in seen]
        seen.update(v for v in node.inputs if v is not None)
    return True


def _halve(
    node: ir.Node,
    homes: Mapping[ir.Value, ir.Graph],
    weights: dict[ir.Value, tuple[ir.Value, float]],
    scope: str,
) -> None:
    """Write a product in float16 in a product's place."""
    assert isinstance(node.graph, ir.Graph)
    op = Ops(node.graph, 18, scope)
    op.before = node
    a, b = node.inputs
    assert a is not None
    assert b is not None
    rank = facts.rank(a) or 0
    conv = node.op_type in _CONVOLUTIONS
    scales: list[ir.Value | float] = []
    left = _scaled(op, a, list(range(1, rank)) if conv else [-1], scales)
    if facts.is_constant(b):
        if b not in weights:
            weights[b] = _weight(b, homes[b], scope)
        right, factor = weights[b]
        if factor != 1.0:
            scales.append(factor)
    else:
        right = _scaled(op, b, [-2], scales)
    (made,) = op.clone(node, [left, right])
    made.type = ir.TensorType(ir.DataType.FLOAT16)
    result = op.Cast(made, to=_WIDE)
    for scale in scales:
        result = op.Mul(result, scale if isinstance(scale, ir.Value) else np.float32(scale))
    output = node.outputs[0]
    result.shape = output.shape
    name = output.name
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
    output.name, result.name = None, name


def _scaled(op: Ops, value: ir.Value, axes: list[int], scales: list[ir.Value | float]) -> ir.Value:
    """Divide a value by its largest size along axes, which is added to the scales."""
    largest = op.ReduceMax(op.Abs(value), op.const(np.array(axes, np.int64)), keepdims=1)
    largest.type = ir.TensorType(ir.DataType.FLOAT)
    scale = op.Max(largest, _TINY)
    scales.append(scale)
    made: ir.Value = op.Cast(op.Div(value, scale), to=_HALF)
    return made


def _weight(value: ir.Value, home: ir.Graph, scope: str) -> tuple[ir.Value, float]:
    """Write a weight in float16, made when the file is loaded; return what it was divided by."""
    largest = float(np.abs(np.asarray(facts.constant(value))).max(initial=0))
    factor = 1.0 if not largest or _LOW <= largest <= _HIGH else 2.0 ** math.ceil(math.log2(largest))
    op = Ops(home, 18, f"{scope}/weight")
    op.before = next(iter(home))
    scaled = value if factor == 1.0 else op.Mul(value, np.float32(1 / factor), _fold=False)
    made: ir.Value = op.Cast(scaled, to=_HALF, _fold=False)
    made.shape = value.shape
    return made, factor
