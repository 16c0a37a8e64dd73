"""Normalisations and softmax: each output depends on a whole group of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.composition import differentiate
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


@gradient("Softmax", Category.NORMALIZATION)
def softmax(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Y (g - sum g y)."""
    axis = node.axis("axis", -1)

    def entry() -> Any:
        y = op.Where(op.IsNaN(node.y), 0.0, node.y) if _guarded(node.y) else node.y
        gy = g * y
        return gy - y * op.sum(gy, [axis], keepdims=True)

    return (entry,)


def _guarded(y: ir.Value) -> bool:
    """Tell whether the model replaces rows that are masked altogether, where softmax is NaN."""
    users = [use.node for use in y.uses()]
    return any(u.op_type == "Where" or (u.op_type == "Cast" and _guarded(u.outputs[0])) for u in users)


@gradient("LogSoftmax", Category.NORMALIZATION)
def log_softmax(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """G - softmax(x) sum g."""
    axis = node.axis("axis", -1)
    return (lambda: g - op.Exp(node.y) * op.sum(g, [axis], keepdims=True),)


@gradient("BatchNormalization", Category.LINEAR, all_outputs=True)
def batch_normalization(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
    """At inference an affine map per channel; in training mode the batch's own statistics vary too."""
    if node.int("training_mode", 0):
        return differentiate(op, node.inputs, gradients, lambda *inputs: _training(op, node, *inputs))
    g = gradients[0]
    x, scale, _, mean, var = (node.input(k) for k in range(5))
    rest, wide = _channel_axes(node)
    inverse = op.Reciprocal(op.Sqrt(var + node.float("epsilon", 1e-5)))

    def per_channel(v: Any) -> Any:
        return op.Unsqueeze(v, wide) if wide else v

    def centred() -> Any:
        return op.sum(g * (x - per_channel(mean)), rest)

    return (
        lambda: g * per_channel(scale * inverse),
        lambda: centred() * inverse,
        lambda: op.sum(g, rest),
        lambda: -(op.sum(g, rest) * scale * inverse),
        lambda: centred() * scale * (inverse * inverse * inverse) * -0.5,
    )


def _channel_axes(node: NodeView) -> tuple[list[int], list[int]]:
    """Return the axes other than the channels', and those that follow it, counted without the batch."""
    rank = node.rank()
    return [0, *range(2, rank)], list(range(1, rank - 1))


def _training(
    op: Emitter, node: NodeView, x: Any, scale: Any, bias: Any, mean: Any, var: Any
) -> tuple[Any, ...]:
    rest, wide = _channel_axes(node)
    momentum = node.float("momentum", 0.9)
    centred = x - op.mean(x, rest)
    spread = op.mean(centred * centred, rest)
    scale, bias = (op.Unsqueeze(v, wide) if wide else v for v in (scale, bias))
    y = centred / op.Sqrt(spread + node.float("epsilon", 1e-5)) * scale + bias
    now = op.ReduceMean(x, rest, keepdims=0), op.Reshape(spread, [-1])
    return y, *(old * momentum + new * (1 - momentum) for old, new in zip((mean, var), now, strict=True))


def standardize(op: Emitter, x: Any, g: Any, axes: list[int], epsilon: float) -> tuple[Any, Any]:
    """Return the standardised x, and how to get dx from its gradient g.

    With ``n = (x - mean) / sd``: ``dx = (g - mean(g) - n mean(g n)) / sd``.
    """
    centred = x - op.mean(x, axes)
    inverse = op.Reciprocal(op.Sqrt(op.mean(centred * centred, axes) + epsilon))
    n = centred * inverse

    def dx() -> Any:
        return inverse * (g - op.mean(g, axes) - n * op.mean(g * n, axes))

    return n, dx


@gradient("LayerNormalization", Category.NORMALIZATION)
def layer_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Standardise over the last axes, then scale and shift."""
    x, scale, bias = node.x, node.input(1), node.optional(2)
    axes = list(range(node.axis("axis", -1), node.rank()))
    n, dx = standardize(op, x, g * scale, axes, node.float("epsilon", 1e-5))
    wide = facts.dims(x)
    return (
        dx,
        lambda: op.unbroadcast(g * n, scale, wide),
        lambda: None if bias is None else op.unbroadcast(g, bias, wide),
    )


@gradient("InstanceNormalization", Category.NORMALIZATION)
def instance_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Standardise each channel of each sample, then scale and shift."""
    rank = node.rank()
    axes = list(range(2, rank))
    scale = op.Unsqueeze(node.input(1), list(range(1, rank - 1)))
    n, dx = standardize(op, node.x, g * scale, axes, node.float("epsilon", 1e-5))
    return dx, lambda: op.sum(g * n, [0, *axes]), lambda: op.sum(g, [0, *axes])


@gradient("GroupNormalization", Category.NORMALIZATION)
def group_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Standardise groups of channels, then scale and shift each channel (in opset 18: each group)."""
    rank, groups = node.rank(), node.int("num_groups", 1)
    grouped = op.concat([op.Shape(node.x, start=0, end=1), groups, -1, op.Shape(node.x, start=2)])
    per_group = op.opset < 21
    scale = op.Reshape(node.input(1), [groups, -1, *[1] * (rank - 2)])  # (G, 1 or C / G, 1...)
    rest = [0, *range(2 if per_group else 3, rank + 1)]
    g5 = op.Reshape(g, grouped)
    n, dx = standardize(
        op, op.Reshape(node.x, grouped), g5 * scale, list(range(2, rank + 1)), node.float("epsilon", 1e-5)
    )
    return (
        lambda: op.reshape_like(dx(), node.x),
        lambda: op.Reshape(op.sum(g5 * n, rest), [-1]),
        lambda: op.Reshape(op.sum(g5, rest), [-1]),
    )


@gradient("RMSNormalization", Category.NORMALIZATION)
def rms_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """With n = x / rms: dx = (g - n mean(g n)) / rms."""
    x, scale = node.x, node.input(1)
    axes = list(range(node.axis("axis", -1), node.rank()))
    inverse = op.Reciprocal(op.Sqrt(op.mean(x * x, axes) + node.float("epsilon", 1e-5)))
    n, inner = x * inverse, g * scale
    return (
        lambda: inverse * (inner - n * op.mean(inner * n, axes)),
        lambda: op.unbroadcast(g * n, scale, facts.dims(x)),
    )


@gradient("MeanVarianceNormalization", Category.NORMALIZATION)
def mean_variance_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Standardise over the given axes; the standard's 1e-9 is added to the deviation."""
    axes = [a % node.rank() for a in node.ints("axes", (0, 2, 3))]

    def entry() -> Any:
        x = node.x
        centred = x - op.mean(x, axes)
        deviation = op.Sqrt(op.mean(centred * centred, axes))
        inverse = op.Reciprocal(deviation + 1e-9)
        n = centred * inverse
        unit = centred / op.Where(op.Equal(deviation, 0.0), 1.0, deviation)
        return inverse * (g - op.mean(g, axes) - unit * op.mean(g * n, axes))

    return (entry,)


@gradient("LpNormalization", Category.NORMALIZATION)
def lp_normalization(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """X / |x|_p for p = 1, 2; 0 stays 0, and has no gradient."""
    axis, p, x = node.axis("axis", -1), node.int("p", 2), node.x

    def entry() -> Any:
        size = op.ReduceL1(x, [axis]) if p == 1 else op.ReduceL2(x, [axis])
        none = op.Equal(size, 0.0)
        direction = op.Sign(x) if p == 1 else node.y
        across = g - direction * op.sum(g * node.y, [axis], keepdims=True)
        return op.Where(none, 0.0, across / op.Where(none, 1.0, size))

    return (entry,)


@gradient("LRN", Category.NORMALIZATION)
def lrn(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """X d^-beta with d = bias + alpha/size sum of squares over neighbouring channels."""
    size, rank = node.int("size", 1), node.rank()
    alpha, beta, bias = node.float("alpha", 1e-4), node.float("beta", 0.75), node.float("bias", 1.0)
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2

    def window(v: Any, first: int, last: int) -> Any:
        flat = op.Reshape(v, op.concat([op.Shape(v, end=2), -1]))
        rows = op.Unsqueeze(op.transpose(flat, [0, 2, 1]), [1])
        mean = op.AveragePool(rows, kernel_shape=[1, size], pads=[0, first, 0, last], count_include_pad=1)
        back = op.transpose(op.Squeeze(mean, [1]), [0, 2, 1])
        return op.Reshape(back, op.Shape(v)) if rank != 3 else back

    def entry() -> Any:
        x = node.x
        d = bias + alpha * window(x * x, before, after)
        inner = window(g * x * op.Pow(d, -beta - 1), after, before)
        return g * op.Pow(d, -beta) - 2 * alpha * beta * (x * inner)

    return (entry,)
