"""Operators that write at places: what was overwritten gets nothing, what was written gets g from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView


def scattered(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Gradient of ScatterElements and ScatterND, for every reduction."""
    data, index, updates = node.x, node.input(1), node.input(2)
    reduction = node.str("reduction", "none")
    elements = node.op_type == "ScatterElements"
    attrs = {"axis": node.axis("axis", 0)} if elements else {}

    def scatter(into: Any, values: Any, how: str) -> Any:
        write = op.ScatterElements if elements else op.ScatterND
        return op.annotate(write(into, index, values, reduction=how, **attrs), data)

    def pick(values: Any) -> Any:
        read = op.GatherElements if elements else op.GatherND
        return op.annotate(read(values, index, **attrs), updates)

    if reduction == "add":
        return g, None, lambda: pick(g)
    if reduction == "none":
        return lambda: scatter(g, op.zeros_like(updates), "none"), None, lambda: pick(g)
    if reduction == "mul":

        def factor() -> Any:  # the product of the others, also where some are 0
            zero = op.Equal(updates, 0.0)
            safe = op.Where(zero, 1.0, updates)
            zeros = scatter(op.zeros_like(data), op.cast_like(zero, data), "add")
            others = pick(zeros) - op.cast_like(zero, data)
            return op.keep_where(op.Equal(others, 0.0), pick(g * scatter(data, safe, "mul")) / safe)

        return lambda: g * scatter(op.full_like(data, 1.0), updates, "mul"), None, factor

    kept, written = (op.cast_like(op.Equal(v, y), data) for v, y in ((data, node.y), (updates, pick(node.y))))
    share = g / scatter(kept, written, "add")  # ties share
    return lambda: share * kept, None, lambda: pick(share) * written


gradient("ScatterElements", Category.STRUCTURAL)(scattered)
gradient("ScatterND", Category.STRUCTURAL)(scattered)


@gradient("TensorScatter", Category.STRUCTURAL)
def tensor_scatter(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Write zeros where the update was written; read the update's part from there."""
    update, begin, rank = node.input(1), node.optional(2), node.rank()
    axis, mode = node.int("axis", -2) % rank, node.str("mode", "linear")

    def picked() -> Any:
        place = op.Reshape(op.indices(op.dim(update, axis)), [-1, *[1] * (rank - axis - 1)])
        if begin is not None:
            place = op.Add(op.Reshape(begin, [-1, *[1] * (rank - 1)]), place)
        if mode == "circular":
            place = op.Mod(place, op.dim(node.x, axis))
        return op.GatherElements(g, op.Expand(place, op.shape_of(update)), axis=axis)

    return lambda: op.TensorScatter(g, op.zeros_like(update), begin, axis=axis, mode=mode), picked


@gradient("MaxUnpool", Category.STRUCTURAL)
def max_unpool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pick g up where the values were put (onnxruntime counts the places in the output's shape)."""
    index = op.Reshape(node.input(1), [-1])
    return (lambda: op.reshape_like(op.Gather(op.Reshape(g, [-1]), index), node.x),)


@gradient("Col2Im", Category.LINEAR)
def col2im(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Cut the image into blocks again: a convolution whose filters each pick one place of the block."""
    block = [int(k) for k in node.known(2, "the block's shape")]
    size, n = int(np.prod(block)), len(block)
    dtype = g.dtype or ir.DataType.FLOAT
    attrs = {"strides": node.ints("strides", [1] * n), "dilations": node.ints("dilations", [1] * n)}

    def entry() -> Any:
        images = op.Reshape(g, op.concat([-1, 1, op.Shape(g, start=2)]))
        places = np.eye(size, dtype=dtype.numpy()).reshape(size, 1, *block)
        parts = op.Conv(images, places, pads=node.ints("pads", [0] * 2 * n), **attrs)
        return op.Reshape(parts, op.shape_of(node.x))

    return (entry,)
