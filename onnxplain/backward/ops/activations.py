"""Functions of one element: the derivative in terms of the input x and the output y."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, elementwise, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875

elementwise("Sigmoid", lambda op, x, y: y * (1 - y))
elementwise("Tanh", lambda op, x, y: 1 - y * y)
elementwise("Softplus", lambda op, x, y: op.Sigmoid(x))
elementwise("Softsign", lambda op, x, y: op.Reciprocal(_square(op, 1 + op.Abs(x))))
elementwise("Erf", lambda op, x, y: 2 / math.sqrt(math.pi) * op.Exp(-(x * x)))
elementwise("Mish", lambda op, x, y: _mish(op, x))

elementwise("Abs", lambda op, x, y: op.Sign(x))
elementwise("Neg", lambda op, x, y: op.full_like(x, -1.0))
elementwise("Exp", lambda op, x, y: y)
elementwise("Log", lambda op, x, y: op.Reciprocal(x))
elementwise("Sqrt", lambda op, x, y: 0.5 / y)
elementwise("Reciprocal", lambda op, x, y: -(y * y))

elementwise("Sin", lambda op, x, y: op.Cos(x))
elementwise("Cos", lambda op, x, y: -op.Sin(x))
elementwise("Tan", lambda op, x, y: 1 + y * y)
elementwise("Asin", lambda op, x, y: op.Reciprocal(op.Sqrt(1 - x * x)))
elementwise("Acos", lambda op, x, y: -op.Reciprocal(op.Sqrt(1 - x * x)))
elementwise("Atan", lambda op, x, y: op.Reciprocal(1 + x * x))
elementwise("Sinh", lambda op, x, y: op.Cosh(x))
elementwise("Cosh", lambda op, x, y: op.Sinh(x))
elementwise("Asinh", lambda op, x, y: op.Reciprocal(op.Sqrt(x * x + 1)))
elementwise("Acosh", lambda op, x, y: op.Reciprocal(op.Sqrt(x * x - 1)))
elementwise("Atanh", lambda op, x, y: op.Reciprocal(1 - x * x))


def _square(op: Emitter, x: Any) -> Any:
    return op.Mul(x, x)


def _mish(op: Emitter, x: Any) -> Any:
    t = op.Tanh(op.Softplus(x))
    return t + x * (1 - t * t) * op.Sigmoid(x)


# Piecewise functions mask g itself: cheaper than multiplying by a mask, and NaN-free.


@gradient("Relu", Category.ELEMENTWISE)
def relu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g where the output is positive; at 0 the derivative is taken as 0."""
    return (lambda: op.keep_where(op.Greater(node.y, 0.0), g),)


@gradient("LeakyRelu", Category.ELEMENTWISE)
def leaky_relu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """At 0 the derivative is 1, as in the definition's x >= 0."""
    return (lambda: op.Where(op.Less(node.x, 0.0), g * node.float("alpha", 0.01), g),)


@gradient("ThresholdedRelu", Category.ELEMENTWISE)
def thresholded_relu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g above the threshold."""
    return (lambda: op.keep_where(op.Greater(node.x, node.float("alpha", 1.0)), g),)


@gradient("PRelu", Category.ELEMENTWISE, broadcasts=True)
def prelu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Like LeakyRelu, with a slope per channel that may be computed."""
    x, slope = node.x, node.input(1)
    below = op.Less(x, 0.0)
    return lambda: op.Where(below, g * slope, g), lambda: op.keep_where(below, g * x)


@gradient("Elu", Category.ELEMENTWISE)
def elu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Below 0 the derivative is y + alpha."""
    return (lambda: op.Where(op.Less(node.x, 0.0), g * (node.y + node.float("alpha", 1.0)), g),)


@gradient("Celu", Category.ELEMENTWISE)
def celu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Below 0 the derivative is exp(x / alpha)."""
    alpha = node.float("alpha", 1.0)
    return (lambda: op.Where(op.Less(node.x, 0.0), g * op.Exp(node.x / alpha), g),)


@gradient("Selu", Category.ELEMENTWISE)
def selu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Above 0 gamma; below it y + alpha * gamma."""
    alpha, gamma = node.float("alpha", SELU_ALPHA), node.float("gamma", SELU_GAMMA)
    return (lambda: g * op.Where(op.Greater(node.x, 0.0), gamma, node.y + alpha * gamma),)


@gradient("HardSigmoid", Category.ELEMENTWISE)
def hard_sigmoid(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Slope alpha strictly between the two bends."""
    inside = op.And(op.Greater(node.y, 0.0), op.Less(node.y, 1.0))
    return (lambda: op.keep_where(inside, g * node.float("alpha", 0.2)),)


@gradient("HardSwish", Category.ELEMENTWISE)
def hard_swish(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """0 below -3, 1 above 3, x/3 + 1/2 between."""
    x = node.x
    slope = op.Where(op.Less(x, 3.0), x / 3.0 + 0.5, 1.0)
    return (lambda: op.keep_where(op.Greater(x, -3.0), g * slope),)


@gradient("Gelu", Category.ELEMENTWISE)
def gelu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Exact form: Phi(x) + x phi(x); the tanh approximation is differentiated as it is written."""
    x = node.x
    if node.str("approximate", "none") == "tanh":
        c = math.sqrt(2 / math.pi)
        t = op.Tanh(c * (x + 0.044715 * (x * x * x)))
        inner = c * (1 + 3 * 0.044715 * (x * x))
        return (lambda: g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner),)
    cdf = 0.5 * (1 + op.Erf(x * (1 / math.sqrt(2))))
    pdf = op.Exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return (lambda: g * (cdf + x * pdf),)


@gradient("Swish", Category.ELEMENTWISE)
def swish(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """With s = sigmoid(alpha x): s + alpha y (1 - s)."""
    alpha = node.float("alpha", 1.0)
    s = op.Sigmoid(node.x * alpha)
    return (lambda: g * (s + alpha * node.y * (1 - s)),)


@gradient("Shrink", Category.ELEMENTWISE)
def shrink(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g outside [-lambd, lambd]."""
    return (lambda: op.keep_where(op.Greater(op.Abs(node.x), node.float("lambd", 0.5)), g),)


@gradient("Clip", Category.ELEMENTWISE)
def clip(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g strictly inside the bounds, elsewhere to the bound, if it varies; a bound may be absent.

    The output tells as well as the input, and leaves Conv and Clip free to be fused.
    """
    low, high = node.optional(1), node.optional(2)

    def entry() -> Any:
        out = g if low is None else op.keep_where(op.Greater(node.y, low), g)
        return out if high is None else op.keep_where(op.Less(node.y, high), out)

    def at_low() -> Any:
        assert low is not None
        out = op.keep_where(op.Equal(node.y, low), g)
        out = out if high is None else op.keep_where(op.Less(node.y, high), out)
        return op.unbroadcast(out, low, facts.dims(node.y))

    def at_high() -> Any:
        assert high is not None
        return op.unbroadcast(op.keep_where(op.Equal(node.y, high), g), high, facts.dims(node.y))

    return entry, at_low, at_high


@gradient("Cast", Category.STRUCTURAL)
def cast(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Between float types: the same number."""
    return (lambda: op.cast_like(g, node.x),)


@gradient("CastLike", Category.STRUCTURAL)
def cast_like(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Between float types: the same number."""
    return lambda: op.cast_like(g, node.x), None


@gradient("Identity", Category.STRUCTURAL)
def identity(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g."""
    return (g,)


@gradient("Dropout", Category.ELEMENTWISE)
def dropout(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """At inference the identity; in training mode the mask and the scale of the forward pass."""
    training = node.optional(2)
    off = facts.constant(training)
    if training is None or (off is not None and not off):
        return g, None
    if len(node.outputs) > 1:
        kept = 1 - op.Where(node.input(2), node.optional(1), 0.0)
        return lambda: op.keep_where(node.outputs[1], g / kept), None
    return lambda: g * op.Where(op.Equal(node.x, 0.0), 0.0, node.y / node.x), None
