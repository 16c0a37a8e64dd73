"""Write what a layer's inputs get of the share of its biases as ``ai.onnxplain::GiveAll``.

Cases: what :func:`onnxplain.backward.rules.scale.give_all` writes, in float32 or float16, where the axes of a
row lie one behind the other: four sums and some ten elementwise steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import made_by, number, put, reduced, roots, swaps, written

__all__ = ["FuseShares"]


class FuseShares(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in roots(model):
            found = _match(node)
            if found is not None:
                attributes = {"above": found.above, "below": found.below}
                put(model, node, "GiveAll", (found.relevance, found.given), attributes)
                modified = True
        return ir.passes.PassResult(model, modified)


class _Shares(NamedTuple):
    """What arrives, what is given of it, and the axes of a row in each."""

    relevance: ir.Value
    given: ir.Value
    above: tuple[int, ...]
    below: tuple[int, ...]


def _match(root: ir.Node) -> _Shares | None:
    """Match ``given + missing / sizes * where(sizes = 0, 1 / n, size)``."""
    for given, more in swaps(written(root.outputs[0], "Add")):
        for part, factor in swaps(written(more, "Mul")):
            found = _shares(given, written(part, "Div"), written(factor, "Where"))
            if found is not None and _in_line(found.above) and _in_line(found.below):
                return found
    return None


def _shares(given: ir.Value, part: ir.Node | None, factor: ir.Node | None) -> _Shares | None:
    if part is None or factor is None:
        return None
    none, even, size = factor.inputs
    sizes = _tested(none)
    summed = reduced(sizes, "ReduceSum")
    absolute = written(size, "Abs")
    divisor = written(part.inputs[1], "Where")
    missing = written(part.inputs[0], "Sub")
    if (
        summed is None
        or summed[0] is not size
        or absolute is None
        or absolute.inputs[0] is not given
        or divisor is None
        or divisor.inputs[0] is not none
        or number(divisor.inputs[1]) != 1
        or divisor.inputs[2] is not sizes
        or missing is None
    ):
        return None
    arrived, got = (reduced(v, "ReduceSum") for v in missing.inputs)
    below = summed[1]
    if (
        arrived is None
        or got is None
        or got[0] is not given
        or got[1] != below
        or not _is_even(even, given, below)
    ):
        return None
    return _Shares(arrived[0], given, arrived[1], below)


def _tested(condition: ir.Value | None) -> ir.Value | None:
    """Return what is compared with 0."""
    test = made_by(condition, "Equal")
    return test.inputs[0] if test is not None and number(test.inputs[1]) == 0 else None


def _is_even(value: ir.Value | None, given: ir.Value, below: tuple[int, ...]) -> bool:
    """Whether a value is 1 / n, n the count of a row's numbers (at least 1)."""
    held = facts.constant(value)
    if held is not None:
        lengths = [facts.static_dim(given, a) for a in below] if facts.rank(given) is not None else [None]
        count = int(np.prod([n for n in lengths if n is not None]))
        return None not in lengths and bool(
            np.all(held == (np.float32(1) / np.float32(max(count, 1))).astype(held.dtype))
        )
    divided = written(value, "Div")
    least = None if divided is None or number(divided.inputs[0]) != 1 else written(divided.inputs[1], "Max")
    if least is None or len(least.inputs) != 2 or number(least.inputs[1]) != 1:
        return False
    counted = reduced(least.inputs[0], "ReduceSum")
    ones = None if counted is None else written(counted[0], "ConstantOfShape")
    shape = None if ones is None else made_by(ones.inputs[0], "Shape")
    fill = None if ones is None else facts.attr(ones, "value")
    if counted is None or shape is None or not isinstance(fill, ir.TensorProtocol):
        return False
    whole = facts.attr(shape, "start", 0) == 0 and facts.attr(shape, "end") is None
    return counted[1] == below and shape.inputs[0] is given and whole and fill.numpy().ravel().tolist() == [1]


def _in_line(axes: tuple[int, ...]) -> bool:
    return bool(axes) and axes[0] >= 0 and axes == tuple(range(axes[0], axes[0] + len(axes)))
