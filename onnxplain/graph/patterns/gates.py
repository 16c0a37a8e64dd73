"""Which operand of a product is the signal, and which only says how much of it passes.

In ``sigmoid(a) * tanh(b)`` of an LSTM, and in ``softmax(Q K) V`` of attention, one operand is a gate.
Arras et al. (2017) give all relevance of such a product to the signal and none to the gate.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers, operators

__all__ = ["is_all", "signal"]

_GATES = operators(Is.UNIT)
_MOVERS = movers()


def signal(node: ir.Node, reached: Set[ir.Value]) -> int | None:
    """Tell which operand of a product is the signal.

    A gate is what comes out of Sigmoid, HardSigmoid, Softmax, or a Clip between constants that are not
    negative; perhaps moved, cast, scaled by what does not depend on the explained values, masked by Where, or
    taken from one (``1 - gate``).  A product with an inverse (``x * rsqrt(v)``) is a quotient: its numerator
    is the signal, as it is of a Div.

    Parameters
    ----------
    node
        A node of a graph in normal form.
    reached
        The values that depend on what is explained; all others count as constant.

    Returns
    -------
    int or None
        The position of the signal in a Mul, MatMul or Einsum of a signal and a gate, both in ``reached``.
        None for all other nodes, and where both operands are gates or neither is.
    """
    if not _is(node, "Mul", "MatMul", "Einsum") or len(node.inputs) != 2:
        return None
    a, b = node.inputs
    if a is None or b is None or a not in reached or b not in reached:
        return None
    divisors = _is(node, "Mul") and (_is_inverse(a, reached), _is_inverse(b, reached))
    if divisors and divisors[0] != divisors[1]:
        return divisors.index(False)
    gates = _is_gate(a, reached), _is_gate(b, reached)
    return None if gates[0] == gates[1] else gates.index(False)


def _is_inverse(value: ir.Value, reached: Set[ir.Value]) -> bool:
    """Tell whether a value is one over another: Reciprocal, a negative power, constant / v, their root."""
    while True:
        node = value.producer()
        if node is None or value not in reached:
            return False
        if _is(node, "Reciprocal"):
            return True
        if _is(node, "Pow"):
            power = _bound(node, 1)
            return power is not None and power < 0
        if _is(node, "Div") and node.inputs[0] not in reached:
            return True
        source = node.inputs[0] if _is(node, "Sqrt", *_MOVERS) else _scaled(node, reached)
        if source is None:
            return False
        value = source


def _is_gate(value: ir.Value, reached: Set[ir.Value]) -> bool:
    """Walk back to what made a value, through whatever leaves a gate a gate."""
    scaled = True  # whether a factor may still come: 1 - 2 sigmoid(x) is no gate, but a tanh
    while True:
        node = value.producer()
        if node is None or value not in reached:
            return False
        if _is(node, *_GATES):
            return True
        if _is(node, "Clip"):
            low, high = _bound(node, 1), _bound(node, 2)
            return low is not None and high is not None and low >= 0
        if _is(node, *_MOVERS):
            source = node.inputs[0]
        elif _is(node, "Where"):
            source = _only(node.inputs[1:], reached)
        elif _is(node, "Sub", "Add"):
            source, scaled = _complement(node, reached), False
        else:
            source = _scaled(node, reached) if scaled else None
        if source is None:
            return False
        value = source


def _scaled(node: ir.Node, reached: Set[ir.Value]) -> ir.Value | None:
    """Return the input of which a node's output is a constant multiple."""
    if _is(node, "Neg"):
        return node.inputs[0]
    if _is(node, "Mul"):
        return _only(node.inputs, reached)
    if _is(node, "Div") and node.inputs[1] not in reached:
        return node.inputs[0]
    return None


def _complement(node: ir.Node, reached: Set[ir.Value]) -> ir.Value | None:
    """Return g if a node's output is ``1 - g``, written as a Sub or as the Add of a negated g."""
    a, b = node.inputs
    if node.op_type == "Sub":
        return b if is_all(a, 1) else None
    other = _only(node.inputs, reached)
    if other is None or not is_all(a if other is b else b, 1):
        return None
    negated = other.producer()
    if _is(negated, "Neg"):
        return negated.inputs[0] if negated is not None else None
    if negated is not None and _is(negated, "Mul") and any(is_all(i, -1) for i in negated.inputs):
        return _only(negated.inputs, reached)
    return None


def is_all(value: ir.Value | None, number: int) -> bool:
    """Tell whether a value certainly holds one number only, whatever its shape."""
    while value is not None:
        array = facts.constant(value)
        if array is not None:
            return array.size > 0 and bool((array == number).all())
        node = value.producer()
        if node is not None and _is(node, "ConstantOfShape"):
            content = node.attributes.get("value")
            return number == 0 if content is None else bool((content.as_tensor().numpy() == number).all())
        value = node.inputs[0] if node is not None and _is(node, *_MOVERS) else None
    return False


def _bound(node: ir.Node, position: int) -> float | None:
    array = facts.constant(node.inputs[position]) if len(node.inputs) > position else None
    return None if array is None or array.size != 1 else float(array.ravel()[0])


def _only(values: Sequence[ir.Value | None], reached: Set[ir.Value]) -> ir.Value | None:
    """Return the one value that depends on what is explained, None if several do."""
    found = [v for v in values if v is not None and v in reached]
    return found[0] if len(found) == 1 else None


def _is(node: ir.Node | None, *op_types: str) -> bool:
    return node is not None and node.domain in ("", "ai.onnx") and node.op_type in op_types
