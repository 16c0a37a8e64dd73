"""Write walks back through softmax and normalisations as operators of our own, in one pass over rows.

Cases: what :mod:`onnxplain.backward.ops.normalization` writes for Softmax along the last axis
(``ai.onnxplain::SoftmaxBackward``), and for normalisations over last axes, by layer, group and instance or by
root mean square (``ai.onnxplain::NormBackward``), and what :mod:`onnxplain.backward.rules.normalization`
writes where deviations count as constants; in float32 or
float16, of which results alone are rounded.  Sums of rows are made in another order than
onnxruntime makes them, so the results differ by their rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import last, number, put, reduced, roots, swaps, written

__all__ = ["FuseRows"]


class FuseRows(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in roots(model):
            softmax = _softmax(node)
            norm = (_norm(node) or _detached(node)) if softmax is None else None
            if softmax is not None:
                put(model, node, "SoftmaxBackward", softmax, {})
            elif norm is not None:
                inputs = _scaled(norm)
                flags = {"centred": [int(norm.centred)], "constant": [int(norm.constant)]}
                attributes = {"axes": [norm.axes], **flags, "epsilon": [norm.epsilon]}
                put(model, node, "NormBackward", inputs, attributes)
            modified |= softmax is not None or norm is not None
        return ir.passes.PassResult(model, modified)


def _softmax(root: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """Return y and g of ``g y - y sum(g y)``."""
    if written(root.outputs[0], "Sub") is None:
        return None
    gy = root.inputs[0]
    for y, total in swaps(written(root.inputs[1], "Mul")):
        summed = reduced(total, "ReduceSum")
        if summed is not None and summed[0] is gy and last(summed[1], y) == 1:
            for g, other in swaps(written(gy, "Mul")):
                if other is y:
                    return y, g
    return None


class _Norm(NamedTuple):
    """A walk back through a normalisation of x, at which g arrives; so many last axes are a row."""

    x: ir.Value
    g: ir.Value
    axes: int
    centred: bool
    epsilon: float
    constant: bool = False


def _norm(root: ir.Node) -> _Norm | None:
    """Match ``inverse * (g - mean(g) - n * mean(g * n))``, where n is x standardised, or without mean(g)."""
    for inverse, rest in swaps(written(root.outputs[0], "Mul")):
        outer = written(rest, "Sub")
        if outer is None or written(inverse, "Reciprocal") is None:
            continue
        for n, mean in swaps(written(outer.inputs[1], "Mul")):
            found = reduced(mean, "ReduceMean")
            for g, again in swaps(written(found[0], "Mul")) if found is not None else ():
                if found is not None and again is n:
                    norm = _of_row(inverse, n, g, found[1], outer.inputs[0])
                    if norm is not None and norm.axes:
                        return norm
    return None


def _of_row(
    inverse: ir.Value, n: ir.Value, g: ir.Value, axes: tuple[int, ...], rest: ir.Value | None
) -> _Norm | None:
    """Return the normalisation that these are parts of; ``rest`` is g, or g without its mean."""
    without = written(rest, "Sub")
    shifted = without is not None and without.inputs[0] is g
    if shifted and without is not None and reduced(without.inputs[1], "ReduceMean") != (g, axes):
        return None
    if not shifted and rest is not g:
        return None
    divided = written(inverse, "Reciprocal")
    square = None if divided is None else _square(divided.inputs[0])
    if square is None or square[1] != axes:
        return None
    c, epsilon = square[0], square[2]
    if not any(part is c and factor is inverse for part, factor in swaps(written(n, "Mul"))):
        return None
    x = _uncentred(c, axes) if shifted else c
    return None if x is None else _Norm(x, g, last(axes, x), centred=shifted, epsilon=epsilon)


def _detached(root: ir.Node) -> _Norm | None:
    """Match ``(g - mean(g)) / deviation``, the deviation that of some x."""
    divided = written(root.outputs[0], "Div")
    without = None if divided is None else written(divided.inputs[0], "Sub")
    if divided is None or without is None:
        return None
    g, mean = without.inputs[0], reduced(without.inputs[1], "ReduceMean")
    square = _square(divided.inputs[1])
    if g is None or mean is None or mean[0] is not g or square is None or square[1] != mean[1]:
        return None
    x = _uncentred(square[0], mean[1])
    if x is None or not last(mean[1], x):
        return None
    return _Norm(x, g, last(mean[1], x), centred=True, epsilon=square[2], constant=True)


def _uncentred(c: ir.Value, axes: tuple[int, ...]) -> ir.Value | None:
    """Return x of ``x - mean(x)``."""
    centred = written(c, "Sub")
    x = None if centred is None else centred.inputs[0]
    if centred is None or x is None or reduced(centred.inputs[1], "ReduceMean") != (x, axes):
        return None
    return x


def _square(deviation: ir.Value | None) -> tuple[ir.Value, tuple[int, ...], float] | None:
    """Return c, the axes and e of ``sqrt(mean(c * c) + e)``."""
    root = written(deviation, "Sqrt")
    for mean, e in swaps(written(root.inputs[0], "Add")) if root is not None else ():
        found, epsilon = reduced(mean, "ReduceMean"), number(e)
        square = None if found is None else written(found[0], "Mul")
        if found is None or epsilon is None or square is None:
            continue
        c = square.inputs[0]
        if c is not None and square.inputs[1] is c:
            return c, found[1], epsilon
    return None


def _scaled(norm: _Norm) -> tuple[ir.Value, ...]:
    """Return x, g and the scale by which g was multiplied for this alone, if it is one for all rows."""
    for g, scale in swaps(written(norm.g, "Mul")):
        held = facts.constant(scale)
        readers = {use.node.op_type for use in norm.g.uses()}
        parts = 2 + (norm.centred and not norm.constant)
        alone = len(norm.g.uses()) == parts and readers <= {"Sub", "Mul", "ReduceMean"}
        if held is not None and held.ndim == 1 and norm.axes == 1 and alone and not norm.g.is_graph_output():
            return norm.x, g, scale
    return norm.x, norm.g
