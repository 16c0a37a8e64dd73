"""What a layer does with the share of its biases under ``bias="scale"``: its inputs get more of their own.

A layer is applied to many rows: the rows of a matrix, the samples of a convolution (and the places along axes
in which its kernel has length 1), and, where a constant is added, whatever lies along the axes in which the
constant varies.  With what the inputs j of a row get from its outputs k where biases keep
their share, ``R_j``, and what is then missing, ``m = sum_k R_k - sum_j R_j``::

    R'_j = R_j + m |R_j| / sum_j |R_j|        and  m / n  where none of its n inputs got anything

Where nothing is negative this is ``R_j`` times ``sum_k R_k / sum_j R_j``: the picture of a layer whose biases
keep their share, of the brightness that was handed to it.  A row gives what it got, so that nothing is kept,
and rows do not touch one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.convolution import kernel_of
from onnxplain.backward.registry import Category, Entry, written
from onnxplain.backward.rules.base import Binding, only
from onnxplain.backward.rules.formula import Formula
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, operators

__all__ = ["give_all", "wrapped"]

_CONVS = operators(Is.LAYER | Is.WINDOW)
_MATRIX = 2


def wrapped(run: Callable[..., Any], node: ir.Node, active: Sequence[int], category: Category) -> Any:
    """Return how a rule runs so that nothing is kept; the same for nodes of which that is not known.

    These have no bias of their own: products of two values that vary, and operators without weights.
    """
    if category is Category.SUM and len(active) < len(node.inputs):
        return partial(_sum, run)
    if len(active) != 1 or category is not Category.LINEAR or len(node.inputs) < 2:
        return run
    weight = node.inputs[1 - active[0]] if active[0] < 2 else None
    if node.op_type in _CONVS and active == (0,) and facts.is_constant(weight):
        return partial(_layer, run)
    if node.op_type in ("Gemm", "MatMul") and weight is not None and facts.rank(weight) in (1, _MATRIX):
        return partial(_layer, run)
    return run


def give_all(op: Emitter, relevance: Any, given: Any, above: Sequence[int], below: Sequence[int]) -> Any:
    """Return what inputs get, and their share of what is missing.

    Parameters
    ----------
    op
        Writes.
    relevance
        What arrives at the outputs.
    given
        What the inputs get of it.
    above, below
        The axes of outputs and inputs that a row has; along the others they have the same length.
    """
    missing = op.Sub(op.sum(relevance, above, keepdims=True), op.sum(given, below, keepdims=True))
    size = op.Abs(given)
    sizes = op.sum(size, below, keepdims=True)
    none = op.Equal(sizes, 0.0)
    part = op.Div(missing, op.Where(none, 1.0, sizes))
    count = op.sum(op.full_like(given, 1.0), below, keepdims=True)
    return op.Add(given, op.Mul(part, op.Where(none, op.Div(1.0, op.Max(count, 1.0)), size)))


def _layer(
    run: Callable[..., Any], formula: Formula, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    data = binding.active[0]
    entries = run(formula, binding, op, node, relevance)
    above, below = _convolved(node) if node.op_type in _CONVS else _multiplied(node, data)
    if node.op_type == "Gemm" and node.int("transB" if data else "transA", 0):
        relevance, above, below = op.transpose(relevance, [1, 0]), [data], [data]
    if not above:  # a product with a vector: its axis is gone
        relevance, above = op.Unsqueeze(relevance, below), below
    return only(node, data, lambda: give_all(op, relevance, written(entries[data]), above, below))


def _convolved(node: NodeView) -> tuple[list[int], list[int]]:
    """Return the axes of a row: all but the samples', and those in which places do not touch one another."""
    kernel = kernel_of(node)
    ones = (1,) * len(kernel)
    strides, padding = node.ints("strides", ones), node.ints("output_padding", (0,) * len(kernel))
    pads = node.ints("pads", (0,) * 2 * len(kernel))
    axes = [1]
    for k, length in enumerate(kernel):
        apart = length == 1 and strides[k] == 1 and not (pads[k] or pads[k + len(kernel)] or padding[k])
        if not apart or "output_shape" in node.source.attributes:
            axes.append(k + 2)
    return axes, axes


def _multiplied(node: NodeView, data: int) -> tuple[list[int], list[int]]:
    """Return the axes of a row of a product: the one that is summed over, and the one in its place."""
    if node.op_type == "Gemm":
        return [1 - data], [1 - data]
    x, other, y = node.rank(data), node.rank(1 - data), facts.rank(node.y) or 0
    inner = x - 1 if data == 0 or x == 1 else x - _MATRIX
    if other == 1:
        return [], [inner]
    return [y - 1 if data == 0 or x == 1 else y - _MATRIX], [inner]


def _sum(
    run: Callable[..., Any], formula: Formula, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    """Give all of what a sum gets; what does not vary is its bias."""
    active = binding.active
    axes = _varied(node, active)
    if len(active) == 1 and not axes:
        return only(node, active[0], relevance)
    entries = run(formula, binding, op, node, relevance)
    shares: dict[int, Any] = {}

    def entry(k: int) -> Any:
        if not shares:
            given = [op.Unsqueeze(op.expand_like(written(entries[i]), node.y), [0]) for i in active]
            whole, beside = op.Unsqueeze(relevance, [0]), [a + 1 for a in axes]
            made = give_all(op, whole, op.Concat(*given, axis=0), [0, *beside], [0, *beside])
            parts = op.Split(made, [1] * len(active), axis=0, _outputs=len(active))
            parts = [parts] if len(active) == 1 else parts
            shares.update(
                (i, op.annotate(op.Squeeze(p, [0]), node.y)) for i, p in zip(active, parts, strict=True)
            )
        return shares[k]

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


def _varied(node: NodeView, active: Sequence[int]) -> list[int]:
    """Return the axes along which the constants of a sum vary, so that no samples can lie there.

    None where an operand is no constant: it may belong to samples.  That must not hang on whether lengths are
    fixed, which makes constants of what is computed of them (positions; what is expanded to a batch).
    """
    rank = facts.rank(node.y)
    rest = [node.input(k) for k in range(len(node.inputs)) if k not in active]
    if rank is None or not all(facts.is_constant(v) and not facts.is_of_lengths(v) for v in rest):
        return []
    found: set[int] = set()
    for value in rest:
        shape = facts.static_shape(value) or ()
        found.update(rank - len(shape) + k for k, length in enumerate(shape) if length > 1)
    return sorted(found)
