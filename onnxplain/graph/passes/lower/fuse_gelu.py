"""Write walks back through Gelu that a model has written out as ``ai.onnxplain::GeluBackward``.

Cases: ``x * (1 + erf(x / sqrt(2)))`` times 0.5, in any order of the products, in float32: what a walk back
writes for it are two products that are added.  The walk then reads nothing of the model's Gelu but x, so that
onnxruntime runs that as one operator, too.  The slope is computed to some 1e-7, so results differ by that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import onnx_ir as ir

from onnxplain.graph.passes.lower.matching import Device, number, put, roots, swaps, written

__all__ = ["FuseGelu"]

_CLOSE = 1e-5
_MOST = 8  # factors; of more there is nothing to find


class FuseGelu(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded.

    Parameters
    ----------
    device
        Where the program runs.
    """

    def __init__(self, device: Device = "cpu") -> None:
        super().__init__()
        self._device = device

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in roots(model, self._device):
            found = _match(node)
            if found is not None:
                put(model, node, "GeluBackward", (found.x, found.g), {"factor": [found.factor]})
                modified = True
        return ir.passes.PassResult(model, modified)


class _Gelu(NamedTuple):
    """A walk back through Gelu: factor * g * (its slope at x)."""

    x: ir.Value
    g: ir.Value
    factor: float


def _match(root: ir.Node) -> _Gelu | None:
    """Match ``k g (1 + erf(d)) + k g x exp(-d d) 2 / sqrt(pi) / sqrt(2)``, d being x / sqrt(2)."""
    made = root.outputs[0]
    for one, other in swaps(written(made, "Sum") or written(made, "Add")):
        found = _slope_of_step(one)
        if found is None:
            continue
        g, k, d = found
        x = _halved(d)
        if x is None:
            continue
        product = _Product()
        product.take(other, g, x)
        density = k * 2 / math.sqrt(2 * math.pi)
        if product.is_of(g, x, d) and math.isclose(product.constant, density, rel_tol=_CLOSE):
            return _Gelu(x, g, 2 * k)
    return None


def _slope_of_step(value: ir.Value) -> tuple[ir.Value, float, ir.Value] | None:
    """Return g, k and d of ``k g (1 + erf(d))``, in any order."""
    k, d = 1.0, None
    while True:
        for part, rest in swaps(written(value, "Mul")):
            constant = number(part)
            inner = _one_and_erf(part) if constant is None and d is None else None
            if constant is not None or inner is not None:
                k, value = k * (1.0 if constant is None else constant), rest
                d = d if inner is None else inner
                break
        else:
            return None if d is None else (value, k, d)


def _one_and_erf(value: ir.Value) -> ir.Value | None:
    """Return d of ``1 + erf(d)``."""
    for one, erf in swaps(_node(value, "Add")):
        inner = _node(erf, "Erf")
        if number(one) == 1 and inner is not None:
            return inner.inputs[0]
    return None


def _halved(d: ir.Value) -> ir.Value | None:
    """Return x of ``x / sqrt(2)``."""
    divided = _node(d, "Div")
    if divided is not None:
        by = number(divided.inputs[1])
        return (
            divided.inputs[0] if by is not None and math.isclose(by, math.sqrt(2), rel_tol=_CLOSE) else None
        )
    for x, factor in swaps(_node(d, "Mul")):
        by = number(factor)
        if by is not None and math.isclose(by, math.sqrt(0.5), rel_tol=_CLOSE):
            return x
    return None


class _Product:
    """What a value is the product of."""

    def __init__(self) -> None:
        self.constant = 1.0
        self.factors: list[ir.Value] = []

    def take(self, value: ir.Value | None, *whole: ir.Value) -> None:
        """Take a value apart; ``whole`` are factors that stay as they are."""
        constant = number(value)
        product, quotient = _node(value, "Mul"), _node(value, "Div")
        by = None if quotient is None else number(quotient.inputs[1])
        if value is None or len(self.factors) > _MOST:
            return
        if constant is not None:
            self.constant *= constant
        elif value in whole:
            self.factors.append(value)
        elif product is not None:
            for part in product.inputs:
                self.take(part, *whole)
        elif quotient is not None and by is not None and by != 0:
            self.constant /= by
            self.take(quotient.inputs[0], *whole)
        else:
            self.factors.append(value)

    def is_of(self, g: ir.Value, x: ir.Value, d: ir.Value) -> bool:
        """Whether this is a constant times ``g x exp(-d d)``."""
        rest = list(self.factors)
        for value in (g, x):
            if value not in rest:
                return False
            rest.remove(value)
        power = written(rest[0], "Exp") if len(rest) == 1 else None
        turned = None if power is None else written(power.inputs[0], "Neg")
        square = None if turned is None else written(turned.inputs[0], "Mul")
        return square is not None and square.inputs[0] is d and square.inputs[1] is d


def _node(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """Return the node of this operator that makes a value of such a type, whoever wrote it."""
    node = None if value is None else value.producer()
    if node is None or value is None or node.op_type != op_type or node.domain not in ("", "ai.onnx"):
        return None
    return node if value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16) else None
