"""ReLU-beta-smooth: the derivative of softplus in place of the step in a rectifier's slope.

A rectifier's slope jumps by ``d_i`` at its bends ``t_i``: ``f'(x) = s + sum_i d_i [x > t_i]``.  With softplus
in place of the ramps it is ``s + sum_i d_i sigmoid(beta (x - t_i))`` (Dombrowski et al. 2019, who have ReLU).
What has no bend (GELU, SiLU, Softplus, ELU...) is smooth as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.activations import SELU_ALPHA, SELU_GAMMA
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding, propagate
from onnxplain.backward.rules.pieces import multiple_of
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

__all__ = ["BetaSmooth", "bends"]

_GREATER = frozenset({"Greater", "GreaterOrEqual"})
_TESTS = _GREATER | {"Less", "LessOrEqual"}
_Step = Callable[[Any], Any]


@dataclass(frozen=True)
class BetaSmooth:
    """``g (s + sum_i d_i sigmoid(beta (x - t_i)))`` at a rectifier with bends at ``t_i``.

    Parameters
    ----------
    beta_smooth
        The larger, the closer to the gradient.
    """

    beta_smooth: float = 10.0
    name: str = "beta_smooth"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""
        slopes = _SLOPES.get(binding.node.op_type, _relu)

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            g = gradients[0]

            def step(distance: Any) -> Any:
                return op.Sigmoid(op.Mul(distance, self.beta_smooth))

            if node.op_type == "Where":
                return (
                    None,
                    lambda: g * step(_distance(op, node, 1)),
                    lambda: g * step(_distance(op, node, -1)),
                )
            if node.op_type in ("Max", "Min"):
                return [_chosen(op, node, k, g, step) for k in range(2)]
            rest = [*propagate(op, node, g)[1:]]  # of a slope that varies
            return [lambda: g * slopes(op, node, step), *rest]

        return function


def bends(node: ir.Node) -> bool:
    """Tell a rectifier whose slope jumps, as one operator or written out.

    It is ReLU, or leaky, parametric, thresholded, or cut at a ceiling too (``Clip(x, 0, 6)``,
    ``Min(relu(x), 6)``); SELU, HardSigmoid and HardSwish; ``Max(x, 0)``, ``Max(x, a x)``,
    ``Where(x > t, x, a x)``.
    """
    if facts.GRADIENT_KEY in node.metadata_props or node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Clip":
        return _is_zero(node.inputs[1] if len(node.inputs) > 1 else None)
    if node.op_type == "Elu":
        return facts.attr(node, "alpha", 1.0) != 1.0
    if node.op_type == "Where":
        return _is_choice(node)
    if node.op_type in ("Max", "Min"):
        return _is_extremum(node)
    return node.op_type in _SLOPES


def _relu(op: Emitter, node: NodeView, step: _Step) -> Any:
    return step(node.x)


def _leaky(op: Emitter, node: NodeView, step: _Step) -> Any:
    alpha = node.float("alpha", 0.01)
    return step(node.x) * (1 - alpha) + alpha


def _parametric(op: Emitter, node: NodeView, step: _Step) -> Any:
    slope = node.input(1)
    return step(node.x) * (1 - slope) + slope


def _thresholded(op: Emitter, node: NodeView, step: _Step) -> Any:
    """Smooth the slope; the jump of the function itself counts for nothing, as in its gradient."""
    return step(node.x - node.float("alpha", 1.0))


def _elu(op: Emitter, node: NodeView, step: _Step, alpha: float = 1.0, gamma: float = 1.0) -> Any:
    above, alpha = step(node.x), node.float("alpha", alpha)
    below = op.Exp(op.Min(node.x, 0.0)) * alpha
    return (above + (1 - above) * below) * node.float("gamma", gamma)


def _selu(op: Emitter, node: NodeView, step: _Step) -> Any:
    return _elu(op, node, step, SELU_ALPHA, SELU_GAMMA)


def _clip(op: Emitter, node: NodeView, step: _Step) -> Any:
    low, high = node.input(1), node.optional(2)
    above = step(node.x - low)
    return above if high is None else above - step(node.x - high)


def _hard_sigmoid(op: Emitter, node: NodeView, step: _Step) -> Any:
    """Smooth as ``Clip(a x + b, 0, 1)`` would be."""
    alpha = node.float("alpha", 0.2)
    inner = node.x * alpha + node.float("beta", 0.5)
    return (step(inner) - step(inner - 1.0)) * alpha


def _hard_swish(op: Emitter, node: NodeView, step: _Step) -> Any:
    low, high = step(node.x + 3.0), step(node.x - 3.0)
    return (node.x / 3.0 + 0.5) * (low - high) + high


_SLOPES: dict[str, Callable[[Emitter, NodeView, _Step], Any]] = {
    "Clip": _clip,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky,
    "PRelu": _parametric,
    "Relu": _relu,
    "Selu": _selu,
    "ThresholdedRelu": _thresholded,
}


def _is_zero(value: ir.Value | None) -> bool:
    content = facts.constant(value)
    return content is not None and bool(np.all(content == 0))


def _is_extremum(node: ir.Node) -> bool:
    """Tell ``Max(x, 0)`` and ``Max(a x, b x)``, and a ceiling above a rectifier."""
    if len(node.inputs) != 2:
        return False
    if node.op_type == "Min":
        below = [v.producer() for v in node.inputs if v is not None and not facts.is_constant(v)]
        return len(below) == 1 and below[0] is not None and below[0].op_type != "Min" and bends(below[0])
    (x, a), (y, b) = (multiple_of(v) for v in node.inputs)
    if x is None or y is None:
        return (x is None) != (y is None) and any(_is_zero(v) for v in node.inputs)
    return x is y and bool(np.all(a != b))


def _is_choice(node: ir.Node) -> bool:
    """Tell a choice between multiples of a value by that value's side of a constant."""
    test = None if node.inputs[0] is None else node.inputs[0].producer()
    if test is None or test.op_type not in _TESTS or len(test.inputs) != 2:
        return False
    tested = [x for x, _ in map(multiple_of, test.inputs) if x is not None]
    kept = [x for x, _ in map(multiple_of, node.inputs[1:]) if x is not None]
    return len(tested) == 1 and bool(kept) and all(x is tested[0] for x in kept)


def _distance(op: Emitter, node: NodeView, side: int) -> Any:
    """Return how far inside a choice's condition a value is (side 1), or outside (-1)."""
    condition = node.source.inputs[0]
    test = None if condition is None else condition.producer()
    assert test is not None
    left, right = test.inputs
    more = (test.op_type in _GREATER) == (side > 0)
    return op.Sub(left, right) if more else op.Sub(right, left)


def _chosen(op: Emitter, node: NodeView, k: int, g: Any, step: _Step) -> Entry:
    """Return an operand's entry of a maximum or minimum."""
    mine, other = node.input(k), node.input(1 - k)
    if facts.is_constant(mine):
        return None
    (x, a), (y, b) = multiple_of(node.source.inputs[k]), multiple_of(node.source.inputs[1 - k])
    if node.op_type == "Min":
        return lambda: g * step(op.Sub(other, mine))
    if y is None:
        return lambda: g * step(mine)
    assert x is not None
    side = np.sign(a - b).astype((mine.dtype or ir.DataType.FLOAT).numpy())
    return lambda: g * step(op.Mul(x, side))
