"""Elementwise functions of several operands, which broadcast; the engine sums over the broadcast axes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView


@gradient("Add", Category.SUM, broadcasts=True, wrt=(0, 1))
def add(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g to both."""
    return g, g


@gradient("Sub", Category.SUM, broadcasts=True, wrt=(0, 1))
def sub(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g, and -g."""
    return g, lambda: -g


@gradient("Mul", Category.BILINEAR, broadcasts=True, wrt=(0, 1))
def mul(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Each operand weighs g for the other."""
    a, b = node.x, node.input(1)
    return lambda: g * b, lambda: g * a


@gradient("Div", Category.BILINEAR, broadcasts=True)
def div(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """By d(a/b) = da / b - y db / b."""
    b = node.input(1)
    return lambda: g / b, lambda: -(g * node.y / b)


@gradient("Pow", Category.ELEMENTWISE, broadcasts=True)
def power(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Weigh by b a^(b-1), and by y ln a (0 where a <= 0, where the exponent cannot vary)."""
    a, b = node.x, node.input(1)

    def exponent() -> Any:
        positive = op.Greater(a, 0.0)
        return g * op.keep_where(positive, node.y * op.Log(op.Where(positive, a, 1.0)))

    def base() -> Any:
        b_ = op.cast_like(b, a)
        zero = op.Equal(b_, 0.0)  # a^0 is constant, also at a = 0
        return g * op.keep_where(op.Not(zero), b_ * op.Pow(a, op.Where(zero, 1.0, b_ - 1)))

    return base, exponent


@gradient("Mod", Category.ELEMENTWISE, broadcasts=True)
def mod(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """As a mod b = a - b floor(a/b) (or trunc, with fmod): 1, and -quotient."""
    a, b = node.x, node.input(1)
    return g, lambda: g * (node.y - a) / b


@gradient("Sum", Category.SUM, broadcasts=True)
def sum_(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g to all."""
    return [g] * len(node.inputs)


@gradient("Mean", Category.SUM, broadcasts=True)
def mean(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Share g evenly."""
    n = len(node.inputs)
    return [lambda: g / n] * n


def extremum(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """To the operand that equals the result; shared evenly on a tie."""
    if len(node.inputs) == 1:
        return (g,)
    wins = [op.cast_like(op.Equal(node.input(k), node.y), node.y) for k in range(len(node.inputs))]
    share = g / op.Sum(*wins)
    return [functools.partial(op.Mul, share, w) for w in wins]


gradient("Max", Category.ELEMENTWISE, broadcasts=True)(extremum)
gradient("Min", Category.ELEMENTWISE, broadcasts=True)(extremum)


@gradient("Where", Category.STRUCTURAL, broadcasts=True)
def where(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """To the operand that was picked."""
    c = node.x
    return None, lambda: op.Where(c, g, 0.0), lambda: op.Where(c, 0.0, g)
