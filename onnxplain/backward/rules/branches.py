"""The branches of a relevance rule on a layer that shows its weights: changed operands, and their signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.rules.base import Binding
from onnxplain.backward.rules.operands import data_part, part_of
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

if TYPE_CHECKING:
    from onnxplain.backward.rules.lrp import Branch, Group, LRPRule, Part

__all__ = ["SIGN", "WEIGHTED", "Operands", "branches", "common_sign", "groups_of", "total"]

#: Operators of two factors, each the other's weight, and the position of their bias.
WEIGHTED = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": None, "Einsum": None, "Mul": None}

#: Sign of a part, where it has one.
SIGN = {"same": 0, "positive": 1, "negative": -1, "one": 1, "square": 1}


class Operands:
    """A branch on one node: its operands, and what is known of them."""

    def __init__(self, rule: LRPRule, op: Emitter, node: NodeView, data: int, branch: Branch) -> None:
        self.sign = branch.sign
        self.whole = branch.input == "one"
        x = node.input(data)
        positive = op.never_negative(x)
        weight = 1 - data
        inputs = list(node.inputs)
        part = "same" if positive and branch.input == "positive" else branch.input
        inputs[data] = data_part(rule, op, node, data, part)
        alpha = node.float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
        weight_part: Part = "zero" if "weight" in rule.zero_params else branch.weight
        inputs[weight] = part_of(op, node.input(weight), weight_part, rule.gamma, alpha)
        bias = WEIGHTED[node.op_type]
        has_bias = bias is not None and node.optional(bias) is not None
        self.has_bias = has_bias and branch.bias != "zero" and not rule.without_bias
        if bias is not None and has_bias:
            beta = node.float("beta", 1.0) if node.op_type == "Gemm" else 1.0
            inputs[bias] = (
                part_of(op, node.input(bias), branch.bias, rule.gamma, beta) if self.has_bias else None
            )
        while inputs and inputs[-1] is None:
            inputs.pop()
        self.view = node.with_inputs(*inputs)
        # The layer is linear, so its adjoint needs the data for its shape only.
        self.backward = node.with_inputs(*(x if k == data else v for k, v in enumerate(inputs)))
        known = facts.constant(inputs[weight])
        self.contributes = not (
            (positive and branch.input == "negative") or (known is not None and not known.any())
        )
        sign = 1 if positive and branch.input == "same" else SIGN.get(branch.input, 0)
        sign *= SIGN.get(branch.weight, 0)
        bias_sign = SIGN.get(branch.bias, 0) if self.has_bias else sign
        self.all_signed = self.sign * sign if sign == bias_sign else 0


def groups_of(rule: LRPRule, binding: Binding) -> list[Group]:
    """Return the groups that can get anything: none for negative outputs where a ReLU follows."""
    return [g for g in rule.groups if not (binding.rectified is not None and g.outputs == "negative")]


def branches(rule: LRPRule, op: Emitter, node: NodeView, data: int, group: Group) -> list[Operands]:
    """Return the branches that are not zero anyway."""
    made = [Operands(rule, op, node, data, branch) for branch in group.branches]
    return [b for b in made if b.contributes or b.has_bias]


def common_sign(branches: Sequence[Operands]) -> int:
    """Return the sign that all contributions have, or 0."""
    signs = {b.all_signed for b in branches}
    return signs.pop() if len(signs) == 1 else 0


def total(op: Emitter, parts: Sequence[tuple[float, Any]]) -> Any:
    """Return the sum of factor times part."""
    total: Any = None
    for factor, part in parts:
        if total is not None and factor == -1.0:
            total = op.Sub(total, part)
            continue
        term = part if factor == 1.0 else op.Mul(part, factor)
        total = term if total is None else op.Add(total, term)
    return total
