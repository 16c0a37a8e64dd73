"""Layer-wise relevance propagation: rules as data, one way to run them.

A rule is a sum of groups, a group a list of modified forwards.  With layer ``L(x; w, b)``, parts ``p`` of
input, weight and bias, and ``stab(z) = z + eps sign(z)``, ``sign(0) = +1``::

    R_x = sum over groups c:  c * sum over branches (i, w, b):  p_i(x) * L_w^T(s)
          with  s = R_y / stab(sum over branches  L(p_i(x); p_w(w), p_b(b)))

======  ==========================================================  ==================
rule    groups                                                      source
======  ==========================================================  ==================
eps     1 * [(x, w, b)]                                             Bach et al. 2015
z+      1 * [(x+, w+, b+), (x-, w-, 0)]                             Montavon et al. 2017
======  ==========================================================  ==================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Category, Entry, lookup
from onnxplain.backward.rules.base import Binding, propagate
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.signs import non_negative

__all__ = ["Branch", "Group", "LRPRule", "epsilon", "stabilise", "zplus"]

#: How a branch changes an operand.
Part = Literal["same", "positive", "negative", "zero"]


@dataclass(frozen=True)
class Branch:
    """One modified forward: which part of the input, the weight and the bias it uses."""

    input: Part
    weight: Part
    bias: Part


@dataclass(frozen=True)
class Group:
    """Branches that share a denominator, and the group's factor."""

    factor: float
    branches: tuple[Branch, ...]

    @property
    def non_negative(self) -> bool:
        """Whether all contributions are >= 0, whatever the operands are."""
        return all(
            b.input == b.weight and b.input in ("positive", "negative") and b.bias in ("positive", "zero")
            for b in self.branches
        )


@dataclass(frozen=True)
class LRPRule:
    """A relevance rule.

    Attributes
    ----------
    name
        Shown in the rule table.
    groups
        See the module.
    epsilon
        The stabiliser's epsilon, absolute.
    """

    name: str
    groups: tuple[Group, ...]
    epsilon: float = 1e-6

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient of a linear node.

        Raises
        ------
        UnsupportedRuleError
            If the node is not linear in what lies on the path.
        """
        rule = lookup(binding.node)
        assert rule is not None
        label = facts.node_label(binding.node)
        if rule.category not in (Category.LINEAR, Category.SUM, Category.BILINEAR):
            raise UnsupportedRuleError(
                f"LRP rule '{self.name}' needs a linear layer, which {label} is not; give it another rule "
                "in the composite, or use integrated_gradients"
            )
        plain = self.groups == epsilon().groups
        weighted = rule.category is Category.LINEAR and binding.node.op_type in _WEIGHTED
        if not weighted or plain:
            return lambda op, node, *g: self._as_it_is(op, node, g[0], binding.active)
        if len(binding.active) != 1:
            raise UnsupportedRuleError(
                f"LRP rule '{self.name}' needs a layer with weights, but both operands of {label} depend "
                "on the input; give it the rule 'epsilon' in the composite"
            )
        return lambda op, node, *g: self._modified(op, node, g[0], binding.active[0])

    def _as_it_is(
        self, op: Emitter, node: NodeView, relevance: Any, active: tuple[int, ...]
    ) -> Sequence[Entry]:
        """Run the one branch that changes nothing: it needs no second forward."""
        share = op.Div(relevance, stabilise(op, node.y, self.epsilon))
        rule = lookup(node)
        if rule is not None and rule.category is not Category.SUM and len(active) > 1:
            share = share / len(active)  # a product: each factor accounts for the whole once
        entries = propagate(op, node, share)

        def entry(k: int) -> Any:
            part = _written(entries[k])
            return None if part is None else op.Mul(node.input(k), part)

        return [partial(entry, k) if k in active else None for k in range(len(entries))]

    def _modified(self, op: Emitter, node: NodeView, relevance: Any, data: int) -> Sequence[Entry]:
        x = node.input(data)
        positive = non_negative(x)

        def entry() -> Any:
            total: Any = None
            for group in self.groups:
                views = [v for b in group.branches if (v := _view(op, node, data, b, positive)) is not None]
                if not views:
                    continue
                outputs = [op.clone(v.source, v.inputs)[0] for v in views]
                z = outputs[0] if len(outputs) == 1 else op.Sum(*outputs)
                share = op.Div(relevance, stabilise(op, z, self.epsilon, non_negative=group.non_negative))
                for view in views:
                    back = _written(propagate(op, view, share)[data])
                    part = op.Mul(view.input(data), back)
                    part = part if group.factor == 1.0 else op.Mul(part, group.factor)
                    total = part if total is None else op.Add(total, part)
            return op.zeros_like(x) if total is None else total

        return [entry if k == data else None for k in range(len(node.inputs))]


#: Linear operators that carry a weight, and the position of their bias.
_WEIGHTED = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": None, "Einsum": None}


def epsilon(value: float = 1e-6) -> LRPRule:
    """LRP-eps: ``R_j = sum_k a_j w_jk / (z_k + eps sign z_k) R_k``."""
    return LRPRule("epsilon", (Group(1.0, (Branch("same", "same", "same"),)),), value)


def zplus(value: float = 1e-6) -> LRPRule:
    """LRP z+ (alpha 1, beta 0): only what speaks for the output, for inputs of either sign.

    Like zennit (and unlike iNNvestigate) it keeps the positive part of the bias in the denominator.
    """
    branches = (Branch("positive", "positive", "positive"), Branch("negative", "negative", "zero"))
    return LRPRule("zplus", (Group(1.0, branches),), value)


def stabilise(op: Emitter, z: Any, value: float, *, non_negative: bool = False) -> Any:
    """Return ``z + eps sign(z)`` with ``sign(0) = +1``."""
    if non_negative:
        return op.Add(z, _like(op, z, value))
    return op.Add(z, op.Where(op.Less(z, 0.0), _like(op, z, -value), _like(op, z, value)))


def _like(op: Emitter, z: ir.Value, number: float) -> ir.Value:
    return op.const(number, z.dtype or ir.DataType.FLOAT)


def _written(entry: Entry) -> Any:
    return entry() if callable(entry) and not isinstance(entry, ir.Value) else entry


def _view(op: Emitter, node: NodeView, data: int, branch: Branch, positive: bool) -> NodeView | None:
    """Return the node with the operands of a branch, or None if the branch is zero anyway."""
    if positive and branch.input == "negative":
        return None
    inputs = list(node.inputs)
    inputs[data] = node.input(data) if positive else _part(op, node.input(data), branch.input)
    weight = 1 - data
    inputs[weight] = _part(op, node.input(weight), _turned(branch.weight, node.float("alpha", 1.0)))
    bias = _WEIGHTED[node.op_type]
    if bias is not None and len(inputs) > bias and inputs[bias] is not None:
        value = inputs[bias]
        assert value is not None
        inputs[bias] = (
            None if branch.bias == "zero" else _part(op, value, _turned(branch.bias, node.float("beta", 1.0)))
        )
    while inputs and inputs[-1] is None:
        inputs.pop()
    return node.with_inputs(*inputs)


def _turned(part: Part, factor: float) -> Part:
    """Return which part of an operand is this part of its product with a factor (Gemm's alpha, beta)."""
    opposite: dict[Part, Part] = {"positive": "negative", "negative": "positive"}
    return opposite.get(part, part) if factor < 0 else part


def _part(op: Emitter, value: ir.Value, part: Part) -> Any:
    zero = np.zeros((), (value.dtype or ir.DataType.FLOAT).numpy())
    if part == "positive":
        return op.Max(value, zero)
    if part == "negative":
        return op.Min(value, zero)
    return op.Mul(value, zero) if part == "zero" else value
