"""How to draw elementwise operators, those of several operands, reductions and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .sketch import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sketch import Sketch, Value

    Draw = Callable[[Sketch, str], Value]


def unary(domain: str | None = None, **choices: Any) -> Draw:
    """``f(x)``, with attributes chosen from tuples."""

    def draw(s: Sketch, op: str) -> Value:
        return s.node(op, s.domain(s.value(), domain), **s.attributes(choices))

    return draw


def binary(left: str | None = None, right: str | None = None, **choices: Any) -> Draw:
    """``f(a, b)``, in either order, broadcast in either direction."""

    def draw(s: Sketch, op: str) -> Value:
        a = s.value()
        b = s.partner(a)
        if s.pick(False, True):
            a, b = b, a
        return s.node(op, s.domain(a, left), s.domain(b, right), **s.attributes(choices))

    return draw


def variadic(most: int = 4) -> Draw:
    """``f(a, b, ...)``."""

    def draw(s: Sketch, op: str) -> Value:
        x = s.value()
        others = [s.partner(x) for _ in range(s.number(1, most) - 1)]
        operands = [x, *others]
        at = s.number(0, len(others))
        operands[0], operands[at] = operands[at], operands[0]
        return s.node(op, *operands)

    return draw


def prelu(s: Sketch, op: str) -> Value:
    x = s.value()
    return s.node(op, x, s.floats(*x.sample[: s.number(0, 1)] if x.rank < 3 else x.sample[-1:]))


def power(s: Sketch, op: str) -> Value:
    x = s.value()
    whole = s.pick(True, False)
    exponent = s.constant(s.pick(2.0, 3.0, 1.0)) if whole else s.constant(s.pick(0.5, -1.0, 1.7))
    if whole and s.pick(False, True):
        exponent = s.ints(s.pick(2, 3))
    return s.node(op, x if whole else s.domain(x, "positive"), exponent)


def clip(s: Sketch, op: str) -> Value:
    low, high = s.pick((-0.5, 0.5), (0.0, 6.0), (None, 0.3), (-0.2, None))
    return s.node(op, s.value(), *(None if b is None else s.constant(b) for b in (low, high)))


def cast(s: Sketch, op: str) -> Value:
    """There and back, by way of float64."""
    return s.node(op, s.node(s.pick("Identity", "Tanh", "Neg"), s.node(op, s.value(), to=11)), to=1)


def where(s: Sketch, op: str) -> Value:
    """By a mask, or by a comparison of values."""
    x = s.value()
    y = s.partner(x)
    if s.pick(True, False):
        mask = s.constant(s.rng.random(x.sample) < 0.5)
    else:
        mask = s.node(s.pick("Greater", "LessOrEqual"), s.partner(x), s.constant(0.1))
    return s.node(op, mask, *s.pick((x, y), (y, x)))


def _axes(s: Sketch, x: Value) -> list[int]:
    axes = s.subset(list(range(1, x.rank)))
    return [a - x.rank if s.pick(False, True) else a for a in axes]


def reduction(domain: str | None = None, since: int = 18) -> Draw:
    """Over some axes of each sample; ``since`` which opset axes are an input."""

    def draw(s: Sketch, op: str) -> Value:
        x = s.value()
        if x.rank < 2:
            x = s.ranked(2)
        axes, keep = _axes(s, x), s.pick(0, 1)
        x = s.domain(x, domain)
        if s.opset >= since:
            return s.node(op, x, s.ints(axes), keepdims=keep)
        return s.node(op, x, axes=axes, keepdims=keep)

    return draw


def argued(s: Sketch, op: str) -> Value:
    """The largest along an axis, read by its place."""
    x = s.value()
    if x.rank < 2:
        x = s.ranked(2)
    axis = s.number(1, x.rank - 1)
    return s.node("GatherElements", x, s.node(op, x, axis=axis, keepdims=1), axis=axis)


def along(domain: str | None = None, **choices: Any) -> Draw:
    """``f(x)`` along one axis of each sample."""

    def draw(s: Sketch, op: str) -> Value:
        x = s.value()
        if x.rank < 2:
            x = s.ranked(2)
        axis = s.number(1, x.rank - 1)
        axis = s.pick(axis, axis - x.rank)
        return s.node(op, s.domain(x, domain), axis=axis, **s.attributes(choices))

    return draw


def cumulative(s: Sketch, op: str) -> Value:
    x = s.value()
    if x.rank < 2:
        x = s.ranked(2)
    axis = s.constant(np.int64(s.number(1, x.rank - 1)))
    return s.node(op, x, axis, exclusive=s.pick(0, 1), reverse=s.pick(0, 1))


def _enough(count: int) -> None:
    """Refuse to normalise one or two numbers: only their order is left, and rounding errors of gradients."""
    if count < 3:
        raise Unfit("too few to normalise")


def mean_variance(s: Sketch, op: str) -> Value:
    x = s.value()
    if x.rank < 2:
        x = s.ranked(2)
    axes = s.subset(list(range(1, x.rank)))
    _enough(int(np.prod([x.array.shape[a] for a in axes])))
    return s.node(op, x, axes=axes)


def layer_norm(s: Sketch, op: str) -> Value:
    x = s.ranked(s.pick(2, 3, 4))
    axis = s.number(1, x.rank - 1)
    shape = x.array.shape[axis:]
    _enough(int(np.prod(shape)))
    bias = s.floats(*shape) if s.pick(True, False) else None
    parameters = [s.floats(*shape)] if bias is None else [s.floats(*shape), bias]
    return s.node(op, x, *parameters, axis=s.pick(axis, axis - x.rank), epsilon=s.pick(1e-5, 1e-2))


def _image(s: Sketch) -> Value:
    """Return (N, C, ...) with a few channels."""
    n = s.pick(1, 2, 3)
    channels = s.pick(2, 4, 1, 3)
    return s.sized(channels, *[s.number(2, 5 if n < 3 else 3) for _ in range(n)])


def instance_norm(s: Sketch, op: str) -> Value:
    x = _image(s)
    c = x.sample[0]
    _enough(int(np.prod(x.sample[1:])))
    return s.node(op, x, s.floats(c), s.floats(c), epsilon=s.pick(1e-5, 1e-2))


def group_norm(s: Sketch, op: str) -> Value:
    x = _image(s)
    c = x.sample[0]
    groups = s.pick(*[g for g in (1, 2, 3) if c % g == 0])
    count = c if s.opset >= 21 else groups
    _enough(int(np.prod(x.sample)) // groups)
    return s.node(op, x, s.floats(count), s.floats(count), num_groups=groups, epsilon=1e-3)


def batch_norm(s: Sketch, op: str) -> Value:
    x = _image(s) if s.pick(True, False) else s.ranked(2)
    c = x.sample[0]
    variance = s.constant(np.abs(s.numbers(c)) + 0.3)
    return s.node(op, x, s.floats(c), s.floats(c), s.floats(c), variance, epsilon=s.pick(1e-5, 1e-2))


def lrn(s: Sketch, op: str) -> Value:
    x = s.sized(s.pick(3, 4), 2, s.pick(2, 3))
    return s.node(op, x, size=s.pick(3, 5, 1), alpha=s.pick(0.1, 1e-4), beta=s.pick(0.75, 0.5), bias=1.0)
