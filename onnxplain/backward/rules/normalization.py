"""What normalisations do with relevance: their statistics count as constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding, Pass, Stop, moved_back, only
from onnxplain.backward.rules.formula import Bias, check_bias
from onnxplain.backward.rules.pieces import again
from onnxplain.backward.rules.scale import give_all
from onnxplain.backward.rules.stabilizer import Stabilize, share
from onnxplain.backward.view import NodeView
from onnxplain.graph.patterns.written_norms import WrittenNorm
from onnxplain.graph.traits import Is, operators

__all__ = ["DetachedNorm"]

#: Normalisations that take a mean off; for the others, constant statistics mean that relevance passes.
_CENTRED = operators(Is.CENTRED)


@dataclass(frozen=True)
class DetachedNorm:
    """Share through ``y = s (x - mean x) / sd + b`` as through a linear layer, with sd constant.

    ``R_x = x * (g - mean g)`` with ``g = s / sd * R_y / stab(y)`` (Ali et al. 2022; it is also what AttnLRP's
    code does).  The shift b keeps its share (``bias="keep"``), does not count (``"drop"``), or gives it to
    the values that are normalised together, in proportion to what they get (``"spread"`` and ``"scale"``, as
    in :mod:`~onnxplain.backward.rules.scale`).  Passing relevance unchanged, as the rule "pass" does, keeps
    nothing, but what arrives is then no longer in proportion to x, and the sums before a normalisation (where
    x may be close to 0 while y is not) blow it up.
    """

    stabilizer: Stabilize = 1e-6
    bias: Bias = "keep"
    name: str = "detached"
    takes_written_norms: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_bias(self.bias)

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""
        if binding.norm is not None and binding.norm.centred:
            return partial(self._written, binding.norm)
        if binding.norm or binding.node.op_type not in _CENTRED or binding.active[:1] != (0,):
            return Pass().bind(binding)

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            def entry() -> Any:
                y = node.y
                if self.bias == "drop" and (shift := _shift(op, node)) is not None:
                    y = op.annotate(op.Sub(y, shift), y)
                part = share(op, gradients[0], y, self.stabilizer)
                made = op.Mul(node.x, _ADJOINT[node.op_type](op, node, part))
                if self.bias in ("keep", "drop"):
                    return made
                return _given(op, node, gradients[0], made)

            return only(node, 0, entry)

        return function

    def _written(self, norm: WrittenNorm, op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
        """Walk back through a normalisation that is written out, its statistics constant."""
        x, y = norm.source, node.y
        if self.bias == "drop":
            shift = again(op, node.source, x, op.zeros_like(x), norm.statistics)
            y = op.annotate(op.Sub(y, shift), y)
        part = share(op, gradients[0], y, self.stabilizer)
        made = op.Mul(x, backward(op, {node.y: part}, [x], _Constants(norm.statistics))[x])
        if self.bias not in ("keep", "drop"):
            made = give_all(op, moved_back(op, norm, gradients[0]), made, norm.axes, norm.axes)
        return {x: made}


@dataclass(frozen=True)
class _Constants:
    """Gradients, but for values that count as constants."""

    values: frozenset[ir.Value]
    differences: bool = False

    def function(self, node: ir.Node) -> BackwardFunction | None:
        """Let nothing through to what makes a constant."""
        return Stop().bind(Binding(node, ())) if node.outputs[0] in self.values else None

    def inside(self, node: ir.Node) -> None:
        """Walk through bodies by gradients."""


def _shift(op: Emitter, node: NodeView) -> Any:
    """Return what is added at the end, so that it broadcasts to the output; None if nothing is."""
    value = node.optional(2)
    if value is None or node.op_type == "LayerNormalization":
        return value
    if node.op_type == "GroupNormalization":  # before opset 21 a shift per group, since then per channel
        shift = op.Reshape(value, [node.int("num_groups", 1), -1, *[1] * (node.rank() - 2)])
        return op.reshape_like(op.Expand(shift, op.Shape(op.Reshape(node.x, _grouped(op, node)))), node.x)
    return op.Unsqueeze(value, list(range(1, node.rank() - 1)))


def _given(op: Emitter, node: NodeView, relevance: Any, made: Any) -> Any:
    """Give all that arrives to the values that are normalised together."""
    rank = node.rank()
    if node.op_type != "GroupNormalization":
        if node.op_type == "LayerNormalization":
            axes = list(range(node.axis("axis", -1), rank))
        elif node.op_type == "InstanceNormalization":
            axes = list(range(2, rank))
        else:
            axes = [a % rank for a in node.ints("axes", (0, 2, 3))]
        return give_all(op, relevance, made, axes, axes)
    groups = node.int("num_groups", 1)
    shape = op.concat([op.Shape(node.x, start=0, end=1), groups, -1])
    above, below = op.Reshape(relevance, shape), op.Reshape(made, shape)
    return op.reshape_like(give_all(op, above, below, [2], [2]), node.x)


def _centred(op: Emitter, x: Any, g: Any, axes: list[int], epsilon: float) -> Any:
    """Return the adjoint of ``(x - mean x) / sd`` with sd constant."""
    centred = x - op.mean(x, axes)
    deviation = op.Sqrt(op.mean(centred * centred, axes) + epsilon)
    return (g - op.mean(g, axes)) / deviation


def _layer(op: Emitter, node: NodeView, g: Any) -> Any:
    axes = list(range(node.axis("axis", -1), node.rank()))
    return _centred(op, node.x, g * node.input(1), axes, node.float("epsilon", 1e-5))


def _instance(op: Emitter, node: NodeView, g: Any) -> Any:
    rank = node.rank()
    scale = op.Unsqueeze(node.input(1), list(range(1, rank - 1)))
    return _centred(op, node.x, g * scale, list(range(2, rank)), node.float("epsilon", 1e-5))


def _group(op: Emitter, node: NodeView, g: Any) -> Any:
    rank, groups, grouped = node.rank(), node.int("num_groups", 1), _grouped(op, node)
    scale = op.Reshape(node.input(1), [groups, -1, *[1] * (rank - 2)])
    g5 = op.Reshape(g, grouped) * scale
    x5 = op.Reshape(node.x, grouped)
    made = _centred(op, x5, g5, list(range(2, rank + 1)), node.float("epsilon", 1e-5))
    return op.reshape_like(made, node.x)


def _grouped(op: Emitter, node: NodeView) -> Any:
    """Return the input's shape with an axis of its own for the groups."""
    return op.concat(
        [op.Shape(node.x, start=0, end=1), node.int("num_groups", 1), -1, op.Shape(node.x, start=2)]
    )


def _mean_variance(op: Emitter, node: NodeView, g: Any) -> Any:
    axes = [a % node.rank() for a in node.ints("axes", (0, 2, 3))]
    return _centred(op, node.x, g, axes, 1e-18)


_ADJOINT = {
    "LayerNormalization": _layer,
    "InstanceNormalization": _instance,
    "GroupNormalization": _group,
    "MeanVarianceNormalization": _mean_variance,
}
