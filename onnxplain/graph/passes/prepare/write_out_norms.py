"""Write normalisations and norms out in sums, products, quotients and roots.

For rules that are exact for each of these, but have no form for the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.decomposition import inputs, number, whole
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place
from onnxplain.graph.writer import Writer

__all__ = ["WRITTEN_OUT", "WriteOutNorms", "WriteOutSums"]

_Results = Sequence[ir.Value] | None


def _replace(op: Writer, node: ir.Node, write: Callable[[Writer, ir.Node], _Results]) -> bool:
    op.before, op.scope = node, f"{node.name or node.outputs[0].name}/{node.op_type}"
    with op.arithmetic():
        made = write(op, node)
    if made is None:
        return False
    for old, new in zip(node.outputs, made, strict=False):
        kept = ir.node("Identity", [new], name=op.fresh("Identity"))
        op.graph.insert_before(node, kept)
        take_place(old, kept.outputs[0])
    op.graph.remove(node, safe=True)
    return True


def _rank(node: ir.Node) -> int | None:
    return None if node.inputs[0] is None else facts.rank(node.inputs[0])


def _mean(op: Writer, x: Any, axes: Sequence[int]) -> Any:
    return op.ReduceMean(x, list(axes), keepdims=1)


def _standardized(op: Writer, x: Any, axes: Sequence[int], epsilon: float) -> tuple[Any, Any, Any]:
    """Return the standardised x, its mean and its deviation."""
    mean = _mean(op, x, axes)
    centred = x - mean
    deviation = op.Sqrt(_mean(op, centred * centred, axes) + epsilon)
    return centred / deviation, mean, deviation


def _from_axis(node: ir.Node) -> list[int] | None:
    rank = _rank(node)
    return None if rank is None else list(range(whole(node, "axis", -1) % rank, rank))


def _layer(op: Writer, node: ir.Node) -> _Results:
    x, scale, bias = inputs(node, 3)
    axes = _from_axis(node)
    if axes is None:
        return None
    n, mean, deviation = _standardized(op, x, axes, number(node, "epsilon", 1e-5))
    y = n * scale if bias is None else n * scale + bias
    return [y, mean, op.Reciprocal(deviation)]


def _rms(op: Writer, node: ir.Node) -> _Results:
    x, scale = inputs(node, 2)
    axes = _from_axis(node)
    if axes is None:
        return None
    return [x / op.Sqrt(_mean(op, x * x, axes) + number(node, "epsilon", 1e-5)) * scale]


def _instance(op: Writer, node: ir.Node) -> _Results:
    (x, scale, bias), rank = inputs(node, 3), _rank(node)
    if rank is None:
        return None
    n, _, _ = _standardized(op, x, range(2, rank), number(node, "epsilon", 1e-5))
    wide = list(range(1, rank - 1))
    return [n * op.Unsqueeze(scale, wide) + op.Unsqueeze(bias, wide)]


def _group(op: Writer, node: ir.Node) -> _Results:
    (x, scale, bias), rank = inputs(node, 3), _rank(node)
    if rank is None:
        return None
    groups = whole(node, "num_groups", 1)
    shape = op.Concat(op.Shape(x, start=0, end=1), [groups, -1], op.Shape(x, start=2), axis=0)
    grouped = op.Reshape(x, shape)
    dims = facts.dims(x)
    assert dims is not None
    inner = dims[1] // groups if isinstance(dims[1], int) else None
    grouped.shape = ir.Shape([dims[0], groups, inner, *dims[2:]])
    n, _, _ = _standardized(op, grouped, range(2, rank + 1), number(node, "epsilon", 1e-5))
    if op.opset < 21:  # one number per group
        wide = list(range(1, rank))
        y = n * op.Unsqueeze(scale, wide) + op.Unsqueeze(bias, wide)
        return [op.annotate(op.Reshape(y, op.Shape(x)), x)]
    wide = list(range(1, rank - 1))
    flat = op.annotate(op.Reshape(n, op.Shape(x)), x)
    return [flat * op.Unsqueeze(scale, wide) + op.Unsqueeze(bias, wide)]


def _batch(op: Writer, node: ir.Node) -> _Results:
    """Write out one whose parameters are no constants."""
    (x, scale, bias, mean, variance), rank = inputs(node, 5), _rank(node)
    computed = not all(facts.is_constant(v) for v in node.inputs[1:5])
    others = any(o.uses() or o.is_graph_output() for o in node.outputs[1:])
    if rank is None or not computed or others or whole(node, "training_mode", 0):
        return None
    scale, bias, mean, variance = (
        v if rank < 3 else op.Unsqueeze(v, list(range(1, rank - 1))) for v in (scale, bias, mean, variance)
    )
    return [(x - mean) / op.Sqrt(variance + number(node, "epsilon", 1e-5)) * scale + bias]


def _mean_variance(op: Writer, node: ir.Node) -> _Results:
    x, rank = node.inputs[0], _rank(node)
    if rank is None:
        return None
    axes = facts.attr(node, "axes", (0, 2, 3))
    assert isinstance(axes, tuple)
    centred = x - _mean(op, x, axes)
    return [centred / (op.Sqrt(_mean(op, centred * centred, axes)) + 1e-9)]


def _lp(op: Writer, node: ir.Node) -> _Results:
    """Divide by the norm; 0 stays 0, as the standard says."""
    (x,), axis = inputs(node, 1), whole(node, "axis", -1)
    if whole(node, "p", 2) == 1:
        norm = op.ReduceSum(op.Abs(x), [axis], keepdims=1)
    else:
        norm = op.Sqrt(op.ReduceSum(x * x, [axis], keepdims=1))
    return [x / op.Max(norm, float(np.finfo(np.float32).tiny))]


def _lrn(op: Writer, node: ir.Node) -> _Results:
    """Average the squares of neighbouring channels as an image of one row."""
    (x,), rank, size = inputs(node, 1), _rank(node), whole(node, "size", 1)
    if rank is None:
        return None
    rows = op.Reshape(x * x, op.Concat(op.Shape(x, end=2), [-1], axis=0))
    dims = facts.dims(x)
    assert dims is not None
    rows.shape = ir.Shape([*dims[:2], None])
    image = op.Unsqueeze(op.Transpose(rows, perm=[0, 2, 1]), [1])
    before = (size - 1) // 2
    pads = [0, before, 0, size - 1 - before]
    near = op.AveragePool(image, kernel_shape=[1, size], pads=pads, count_include_pad=1)
    back = op.Transpose(op.Squeeze(near, [1]), perm=[0, 2, 1])
    mean = op.annotate(op.Reshape(back, op.Shape(x)), x)
    d = mean * number(node, "alpha", 1e-4) + number(node, "bias", 1.0)
    return [x * op.Pow(d, -number(node, "beta", 0.75))]


def _reduced(before: Callable[..., Any], after: Callable[..., Any]) -> Callable[[Writer, ir.Node], _Results]:
    """Sum something of each element, and return something of the sum."""

    def write(op: Writer, node: ir.Node) -> _Results:
        x, axes = inputs(node, 2)
        noop = whole(node, "noop_with_empty_axes", 0)
        keep = whole(node, "keepdims", 1)
        return [after(op, op.ReduceSum(before(op, x), axes, keepdims=keep, noop_with_empty_axes=noop))]

    return write


def _power(op: Writer, x: Any, p: int) -> Any:
    size = x if p % 2 == 0 else op.Abs(x)
    return size * size if p == 2 else size if p == 1 else op.Pow(size, float(p))


def _root(op: Writer, x: Any, p: int) -> Any:
    return x if p == 1 else op.Sqrt(x) if p == 2 else op.Pow(x, 1.0 / p)


def _global_lp_pool(op: Writer, node: ir.Node) -> _Results:
    (x,), rank, p = inputs(node, 1), _rank(node), whole(node, "p", 2)
    if rank is None:
        return None
    return [_root(op, op.ReduceSum(_power(op, x, p), list(range(2, rank)), keepdims=1), p)]


def _lp_pool(op: Writer, node: ir.Node) -> _Results:
    """Average the powers, and multiply by the number of elements."""
    dilations = facts.attr(node, "dilations", ())
    assert isinstance(dilations, tuple)
    if whole(node, "ceil_mode", 0) or (op.opset < 19 and any(d != 1 for d in dilations)):
        return None
    (x,), p, kernel = inputs(node, 1), whole(node, "p", 2), facts.attr(node, "kernel_shape")
    assert isinstance(kernel, tuple)
    left_out = ("p", "dilations") if op.opset < 19 else ("p",)  # AveragePool has them since then
    attrs = {name: a.value for name, a in node.attributes.items() if name not in left_out}
    mean = op.AveragePool(_power(op, x, p), **attrs, count_include_pad=1)
    return [_root(op, mean * float(np.prod(kernel)), p)]


def _extremum(op: Writer, node: ir.Node) -> _Results:
    """Write a chain of extrema of two."""
    if len(node.inputs) < 3:
        return None
    operands: list[Any] = list(node.inputs)
    return [functools.reduce(lambda a, b: op.emit(node.op_type, (a, b)), operands)]


#: By operator of the standard.
WRITTEN_OUT: dict[str, Callable[[Writer, ir.Node], _Results]] = {
    "BatchNormalization": _batch,
    "GlobalLpPool": _global_lp_pool,
    "GroupNormalization": _group,
    "InstanceNormalization": _instance,
    "LRN": _lrn,
    "LayerNormalization": _layer,
    "LpNormalization": _lp,
    "LpPool": _lp_pool,
    "Max": _extremum,
    "MeanVarianceNormalization": _mean_variance,
    "Min": _extremum,
    "RMSNormalization": _rms,
    "ReduceL1": _reduced(lambda op, x: op.Abs(x), lambda op, s: s),
    "ReduceL2": _reduced(lambda op, x: x * x, lambda op, s: op.Sqrt(s)),
    "ReduceLogSum": _reduced(lambda op, x: x, lambda op, s: op.Log(s)),
    "ReduceSumSquare": _reduced(lambda op, x: x * x, lambda op, s: s),
}


class WriteOutNorms(NodePass):
    """Replace the operators of :data:`WRITTEN_OUT`, in all graphs; a variant that is not covered stays."""

    operators = frozenset(WRITTEN_OUT)

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write simpler operators in its place."""
        return _replace(Writer(graph, opset), node, WRITTEN_OUT[node.op_type])


class WriteOutSums(WriteOutNorms):
    """Replace sums of a function, and functions of a sum: relevance goes through both one by one."""

    operators = frozenset({"ReduceLogSum", "ReduceSumSquare"})
