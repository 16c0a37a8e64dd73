"""DeepLIFT: multipliers ``m = (change of the score) / (difference from the reference)``.

They are walked back as gradients are.  With x at the input, x0 at the reference, ``dx = x - x0``, and m what
arrives at the output:

=====================  ====================================================================================
sums, linear layers    the gradient
products a b           the gradient at the middle: ``m (b + b0) / 2`` and ``m (a + a0) / 2``
quotients a / b        ``m (1/b + 1/b0) / 2`` and ``-m (a + a0) / (2 b b0)``; where one of b and b0 is next
                       to nothing beside the other, ``m / b`` and ``-m a0 / (b b0)``, with the other for b
elementwise f          ``m (f(x) - f(x0)) / dx``; the gradient where dx is about 0
elementwise f(a, b)    the same for each operand, averaged over the other's two values
maxima of many         what rises above y0 to the winner at x, what falls below it to the winner at x0
softmax                ``q (m - sum(m q) / sum(q))`` with ``q = dy / d log y``
steps, choices         see :mod:`onnxplain.backward.difference.jumps`
=====================  ====================================================================================

Each of them is exact: ``m_x dx`` summed over the inputs of an operator is ``m dy``.  So the attributions sum
to the difference of the scores, whatever the network.  (Shrikumar et al. 2017 state the rules for sums and
elementwise functions; Lundberg and Lee's shap the one for pooling.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain.backward.difference.jumps import JUMPS
from onnxplain.backward.difference.reference_input import reference_of, varies
from onnxplain.backward.difference.secant import (
    difference,
    indistinct,
    middle,
    number,
    quotient,
)
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.reductions import stretched
from onnxplain.backward.registry import BackwardFunction, Category, Entry, lookup, written
from onnxplain.backward.rules.base import Binding, only, propagate
from onnxplain.backward.rules.pieces import interior_gradient
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.facts import GRADIENT_KEY
from onnxplain.graph.traits import Is, operators, rows

__all__ = ["Linear", "Rescale", "is_fixed"]

_Function: TypeAlias = "Callable[..., Sequence[Entry]]"

#: Operators with factors, each linear in every one of them, and the positions of these.
_PRODUCTS = {
    n: (0, row.weight) for n, row in rows(Is.BILINEAR).items() if row.weight is not None and n != "Einsum"
}

#: Functions whose values are multiples or copies of the input, so that differences carry no rounding noise.
_CLEAN = operators(Is.PIECEWISE)

#: Operators that pick by the values themselves, and what the registry calls elementwise but is not.
_NO_FORM = operators(Is.PICKS) | {"CumProd", "Det", "Dropout"}


def is_fixed(node: ir.Node) -> bool:
    """Tell whether an operator that moves or adds values up does so in the same way whatever they are."""
    plain = facts.attr(node, "reduction", "none") in ("none", "add")  # of ScatterElements and ScatterND
    return plain and node.op_type not in _NO_FORM and GRADIENT_KEY not in node.metadata_props


def _refuse(name: str, node: ir.Node | NodeView, why: str) -> UnsupportedRuleError:
    label = node.label if isinstance(node, NodeView) else facts.node_label(node)
    return UnsupportedRuleError(
        f"DeepLIFT rule '{name}' cannot be used on {label}: {why}; use integrated_gradients, which compares "
        "with a reference too, or explain an inner value behind the node (wrt=...)"
    )


@dataclass(frozen=True)
class Linear:
    """Linear operators: the gradient; products of two values that both vary: the gradient at their middle."""

    name: str = "linear"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Keep the gradient, or move the operands to the middle.

        Raises
        ------
        UnsupportedRuleError
            If three or more factors vary, or the operator is not linear after all.
        """
        node, active = binding.node, binding.active
        row = lookup(node)
        assert row is not None
        if node.op_type == "BatchNormalization" and facts.attr(node, "training_mode", 0):
            raise _refuse(self.name, node, "in training mode it depends on the whole batch")
        if node.op_type in (*_PRODUCTS, "Einsum"):
            if len(active) > 2:
                raise _refuse(self.name, node, "more than two of its factors depend on the input")
            places = _PRODUCTS.get(node.op_type, active)
            if node.op_type != "STFT" and len(active) < 2:
                return None
            return partial(_at_the_middle, places)
        if row.category is Category.LINEAR:
            return partial(_must_be_linear, self.name, row.wrt)
        raise _refuse(self.name, node, "it is not linear")


def _at_the_middle(places: Sequence[int], op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    inputs = [middle(op, v) if v is not None and k in places else v for k, v in enumerate(node.inputs)]
    return propagate(op, node.with_inputs(*inputs), *gradients)


def _must_be_linear(
    name: str, places: Sequence[int], op: Emitter, node: NodeView, /, *gradients: Any
) -> Sequence[Entry]:
    for k, value in enumerate(node.inputs):
        if value is not None and k not in places and facts.is_float(value) and varies(op, value):
            raise _refuse(name, node, f"its operand '{value.name}' depends on the input")
    return propagate(op, node, *gradients)


@dataclass(frozen=True)
class Rescale:
    """The Rescale rule: ``m_x = m dy / dx``, and its forms for operators of several values.

    Parameters
    ----------
    eps
        Where ``|dx| <= eps (1 + |x|)`` and ``|dy| <= eps (|y| + |y0|)`` the gradient at x stands in for the
        quotient.  None: the square root of the dtype's precision (3e-4 in float32), where the rounding of the
        quotient and the error of the gradient are about equal.  Functions that copy or scale (ReLU,
        LeakyReLU, Clip, ...) have no rounding to fear: there the gradient stands in only where dx is 0.
    """

    eps: float | None = None
    name: str = "rescale"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient.

        Raises
        ------
        UnsupportedRuleError
            If there is no form of the rule for the operator.
        """
        node, active, source = binding.node, binding.active, binding.source
        if source is not None:
            if node.op_type == "Mul" and all(i is source for i in node.inputs):
                return Linear().bind(binding)  # a square
            return partial(_piece, self, source)
        jumps = JUMPS.get(node.op_type)
        if jumps is not None:
            return jumps
        special = _FORMS.get(node.op_type)
        if special is not None:
            return partial(special, self)
        row = lookup(node)
        assert row is not None
        quantized = GRADIENT_KEY in node.metadata_props
        if node.op_type in _NO_FORM or not (row.category is Category.ELEMENTWISE or quantized):
            raise _refuse(self.name, node, "there is no form of the rule for this operator")
        if node.op_type == "Neg":
            return None
        if len(active) > 2:
            raise _refuse(self.name, node, "more than two of its operands depend on the input")
        if len(active) == 2:
            return partial(_both_orders, self, active)
        return partial(_elementwise, self, active[0] if active else 0)

    def close(self, op: Emitter, node: NodeView, x: ir.Value, change: Any = None, piece: bool = False) -> Any:
        """Tell where the gradient stands in for the quotient (None: only where the difference is 0)."""
        clean = not piece and (node.op_type in _CLEAN or GRADIENT_KEY in node.source.metadata_props)
        y, y0 = number(op, node.y), number(op, reference_of(op, node.y))
        dy = difference(op, node.y) if change is None else change
        return indistinct(op, x, difference(op, x), y, y0, dy, 0.0 if clean else self.eps)


#: Quotients in a form without cancellation, of x, x0, y and y0.
_EXACT: dict[str, Callable[[Emitter, Any, Any, Any, Any], Any]] = {
    "Sqrt": lambda op, x, x0, y, y0: op.Reciprocal(op.Where(op.Equal(y + y0, 0.0), 1.0, y + y0)),
    "Reciprocal": lambda op, x, x0, y, y0: -(y * y0),
}


def _elementwise(rule: Rescale, k: int, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    """One operand varies."""
    g, x, y = gradients[0], node.input(k), node.y

    def entry() -> Any:
        exact = _EXACT.get(node.op_type)
        if _is_square(node):
            return g * (x + reference_of(op, x))
        if exact is not None:
            return g * exact(op, x, reference_of(op, x), y, reference_of(op, y))
        near = written(propagate(op, node, g)[k])
        near = 0.0 if near is None else near  # of a step
        return quotient(op, g * difference(op, y), difference(op, x), near, rule.close(op, node, x))

    return only(node, k, entry)


def _is_square(node: NodeView) -> bool:
    if node.op_type != "Pow":
        return False
    exponent = facts.constant(node.input(1))
    return exponent is not None and bool((exponent == 2).all())


def _piece(rule: Rescale, source: ir.Value, op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
    """Several nodes are one function of each element."""
    near = interior_gradient(op, node.source, source, gradients[0])
    dy, dx = difference(op, node.y), difference(op, source)
    close = rule.close(op, node, source, piece=True)
    return {source: quotient(op, gradients[0] * dy, dx, near, close)}


def _both_orders(
    rule: Rescale, active: Sequence[int], op: Emitter, node: NodeView, /, *gradients: Any
) -> Sequence[Entry]:
    """Two operands vary: change each before the other and after it, and take the mean."""
    g, (first, second) = gradients[0], active
    mixed: list[ir.Value] = []

    def at(k: int) -> ir.Value:
        """Return f with one operand at the input, the other at the reference."""
        if not mixed:
            for kept in active:
                inputs = [
                    v if v is None or j == kept else reference_of(op, v) for j, v in enumerate(node.inputs)
                ]
                mixed.append(op.clone(node.source, inputs)[0])
        return mixed[list(active).index(k)]

    def entry(k: int) -> Any:
        other = second if k == first else first
        y, y0, x = node.y, reference_of(op, node.y), node.input(k)
        change = (op.Sub(y, at(other)) + op.Sub(at(k), y0)) * 0.5
        near = written(propagate(op, node, g)[k])
        row = lookup(node)
        if row is not None and not row.broadcasts:  # a bound of all elements: what one difference changes
            change = op.unbroadcast(g * change, x, facts.dims(y))
            return quotient(op, change, difference(op, x), near)
        return quotient(op, g * change, difference(op, x), near, rule.close(op, node, x, change))

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


def _division(rule: Rescale, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, a, b = gradients[0], node.x, node.input(1)
    a0, b0 = reference_of(op, a), reference_of(op, b)

    def numerator() -> Any:
        if not varies(op, b):
            return g / b
        r, r0 = _inverse(op, b), _inverse(op, b0)
        one_sided = op.Where(_vanishes(op, b, b0), r0, (r + r0) * 0.5)
        return g * op.Where(_vanishes(op, b0, b), r, one_sided)

    def denominator() -> Any:
        other: Any = a
        if varies(op, a):
            other = op.Where(_vanishes(op, b, b0), a, (a + a0) * 0.5)
            other = op.Where(_vanishes(op, b0, b), a0, other)
        return -(g * (other * _inverse(op, b0) * _inverse(op, b)))

    return numerator, denominator


def _inverse(op: Emitter, value: ir.Value) -> Any:
    """Return 1 / v, and 0 where v is 0."""
    none = op.Equal(value, 0.0)
    return op.Where(none, 0.0, op.Reciprocal(op.Where(none, 1.0, value)))


def _vanishes(op: Emitter, small: ir.Value, large: ir.Value) -> Any:
    """Tell where a denominator is so small beside another that sums with its inverse are all rounding."""
    eps = 8 * float(np.finfo((small.dtype or ir.DataType.FLOAT).numpy()).eps)
    return op.LessOrEqual(op.Abs(small), op.Abs(large) * eps)


def _winners(rule: Rescale, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    """Give what rises (for minima: falls) to the winner at the input, the rest to that at the reference."""
    g, x, y = gradients[0], node.x, node.y
    there = node.with_inputs(
        reference_of(op, x), *node.inputs[1:], outputs=[reference_of(op, o) for o in node.outputs]
    )

    def entry() -> Any:
        dy = difference(op, y)
        up, down = op.Max(dy, 0.0), op.Min(dy, 0.0)
        mine, theirs = (down, up) if node.op_type == "ReduceMin" else (up, down)
        at_input = written(propagate(op, node, op.annotate(g * mine, y))[0])
        at_reference = written(propagate(op, there, op.annotate(g * theirs, y))[0])
        near = written(propagate(op, node, g)[0])
        return quotient(op, at_input + at_reference, difference(op, x), near)

    return only(node, 0, entry)


def _log_means(
    rule: Rescale, op: Emitter, x: ir.Value, reduced: Callable[[str, Any], Any]
) -> tuple[Any, Any]:
    """Return ``q = (y - y0) / (log y - log y0)`` for ``y = softmax(x)``, and ``q / sum(q)``.

    ``log y = x - L`` with the log-sum-exp L.  Since y and y0 both sum to 1, ``sum(q (dx - dL)) = 0``, so that
    ``dL = sum(q dx) / sum(q)``: whatever hangs on L is shared by q, exactly, and nothing overflows.
    """

    def softmax(v: Any) -> tuple[Any, Any]:
        top = reduced("ReduceMax", v)
        top = op.Where(op.Less(op.Abs(top), float("inf")), top, 0.0)  # where all is masked
        shifted = v - top
        e = op.Exp(shifted)
        total = reduced("ReduceSum", e)
        total = op.Where(op.Equal(total, 0.0), 1.0, total)
        return e / total, shifted - op.Log(total)

    (y, log), (y0, log0) = softmax(x), softmax(reference_of(op, x))
    dy, dlog = y - y0, log - log0
    q = quotient(op, dy, dlog, y, indistinct(op, log, dlog, y, y0, dy, rule.eps))
    total = reduced("ReduceSum", q)
    return q, q / op.Where(op.Equal(total, 0.0), 1.0, total)


def _along(op: Emitter, axis: int) -> Callable[[str, Any], Any]:
    return lambda op_type, v: op.emit(op_type, (v, [axis]), {"keepdims": 1})


def _softmax(rule: Rescale, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, reduced = gradients[0], _along(op, node.axis("axis", -1))

    def entry() -> Any:
        q, shares = _log_means(rule, op, node.x, reduced)
        return q * (g - reduced("ReduceSum", g * shares))

    return (entry,)


def _log_softmax(rule: Rescale, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, reduced = gradients[0], _along(op, node.axis("axis", -1))
    return (lambda: g - _log_means(rule, op, node.x, reduced)[1] * reduced("ReduceSum", g),)


def _log_sum_exp(rule: Rescale, op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    def reduced(op_type: str, v: Any) -> Any:
        noop = node.int("noop_with_empty_axes", 0)
        return op.emit(op_type, (v, node.optional(1)), {"keepdims": 1, "noop_with_empty_axes": noop})

    return only(node, 0, lambda: stretched(op, node, gradients[0]) * _log_means(rule, op, node.x, reduced)[1])


#: Operators with a form of their own.
_FORMS: dict[str, _Function] = {
    "Div": _division,
    "GlobalMaxPool": _winners,
    "LogSoftmax": _log_softmax,
    "MaxPool": _winners,
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _winners,
    "ReduceMin": _winners,
    "Softmax": _softmax,
}
