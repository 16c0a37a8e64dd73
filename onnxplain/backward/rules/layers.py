"""How a relevance rule runs on linear operators: those with a weight operand, pools, and sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Category, Entry, lookup
from onnxplain.backward.rules.base import Binding, only, propagate, written
from onnxplain.backward.rules.operands import data_part, part_of, scaled
from onnxplain.backward.rules.stabilizer import is_elementwise, share
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts

if TYPE_CHECKING:
    from onnxplain.backward.rules.lrp import Branch, Group, LRPRule, Part

__all__ = ["adds_updates", "bind"]

#: Operators of two factors, each the other's weight, and the position of their bias.
_WEIGHTED = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "MatMul": None, "Einsum": None, "Mul": None}

#: Operators whose own weights are positive and, for each output, all equal.
_UNIFORM = frozenset({"AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean"})

#: Operators that are not linear, but whose inputs times derivatives sum to the output all the same.
_HOMOGENEOUS = frozenset(
    {"MaxPool", "GlobalMaxPool", "LpPool", "GlobalLpPool", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin"}
)

#: Operators that may add updates to what they put them into.
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})

_SIGN = {"same": 0, "positive": 1, "negative": -1, "one": 1, "square": 1}


def bind(rule: LRPRule, binding: Binding) -> BackwardFunction:
    """Say how a rule runs on a node.

    Raises
    ------
    UnsupportedRuleError
        If the node is not linear in what lies on the path, or the rule changes weights that it does not show.
    """
    node, active = binding.node, binding.active
    row = lookup(node)
    assert row is not None
    label = facts.node_label(node)
    linear = row.category in (Category.LINEAR, Category.SUM, Category.BILINEAR) or adds_updates(node)
    if not linear and not (rule.plain and node.op_type in _HOMOGENEOUS):
        raise UnsupportedRuleError(
            f"LRP rule '{rule.name}' needs a linear layer, which {label} is not; give it another rule "
            "in the composite (such as 'pass'), or use integrated_gradients"
        )
    if binding.source is not None:
        raise UnsupportedRuleError(
            f"LRP rule '{rule.name}' needs a linear layer, but {label} closes an activation that is written "
            "out in several operators; give it the rule 'pass' in the composite (or build that with "
            "regions=False)"
        )
    if node.op_type == "Div" and active != (0,):
        raise UnsupportedRuleError(
            f"LRP rule '{rule.name}' needs a linear layer, but {label} divides by what depends on the input; "
            "give it the rule 'product' in the composite"
        )
    run: Callable[..., Any]
    if rule.plain or (rule.plain_without_bias and _has_no_bias(node, active, row.category)):
        run = _as_it_is
    elif row.category is Category.SUM:
        run = _sum
    elif node.op_type in _UNIFORM or (node.op_type == "Einsum" and len(node.inputs) == 1):
        run = _uniform
    elif node.op_type in _WEIGHTED and len([i for i in node.inputs[:2] if i is not None]) == 2:
        run = _weighted
        if node.op_type == "Einsum" and len(node.inputs) > 2:
            run = _refuse(rule, label, "has more than two operands")
    else:
        run = _refuse(rule, label, "has weights that the rule cannot see")
    return partial(_entries, rule, binding, run)


def adds_updates(node: ir.Node) -> bool:
    """Tell whether a node adds updates to its first input."""
    return node.op_type in _SCATTERS and facts.attr(node, "reduction", "none") == "add"


def _has_no_bias(node: ir.Node, active: tuple[int, ...], category: Category) -> bool:
    """Tell whether a node adds nothing to its contributions, so that leaving biases out changes nothing."""
    if category is Category.SUM:
        return len(active) == len(node.inputs)
    if node.op_type in _UNIFORM:
        return True
    bias = _WEIGHTED.get(node.op_type)
    return node.op_type in _WEIGHTED and (
        bias is None or len(node.inputs) <= bias or node.inputs[bias] is None
    )


def _refuse(rule: LRPRule, label: str, why: str) -> Callable[..., Any]:
    raise UnsupportedRuleError(
        f"LRP rule '{rule.name}' needs a layer with weights, but {label} {why}; give it the rule 'epsilon' "
        "in the composite"
    )


def _entries(
    rule: LRPRule,
    binding: Binding,
    run: Callable[..., Any],
    op: Emitter,
    node: NodeView,
    /,
    *gradients: Any,
) -> Sequence[Entry]:
    found: Sequence[Entry] = run(rule, binding, op, node, gradients[0])
    return found


def _as_it_is(
    rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    """Run the one branch that changes nothing: it needs no second forward."""
    y = node.y
    if binding.rectified is not None and is_elementwise(rule.stabilizer):
        y = binding.rectified  # the ReLU's output leaves the layer and its ReLU to be fused
    part = share(op, relevance, y, rule.stabilizer, 1 if op.never_negative(y) else 0)
    row = lookup(node)
    is_sum = adds_updates(node.source) or (row is not None and row.category is Category.SUM)
    if not is_sum and len(binding.active) > 1:
        part = part / len(binding.active)  # a product: each factor accounts for the whole once
    entries = propagate(op, node, part)

    def entry(k: int) -> Any:
        back = written(entries[k])
        return None if back is None else op.Mul(node.input(k), back)

    return [partial(entry, k) if k in binding.active else None for k in range(len(entries))]


def _groups(rule: LRPRule, binding: Binding) -> list[Group]:
    """Return the groups that can get anything: none for negative outputs where a ReLU follows."""
    return [g for g in rule.groups if not (binding.rectified is not None and g.outputs == "negative")]


def _shared(
    rule: LRPRule,
    binding: Binding,
    op: Emitter,
    node: NodeView,
    group: Group,
    relevance: Any,
    z: Any,
    sign: int,
) -> Any:
    """Return the relevance over the denominator, for the outputs that the group is for."""
    part = share(op, relevance, z, rule.stabilizer, sign)
    if group.outputs == "all" or binding.rectified is not None:
        return part
    chosen = op.Greater(node.y, 0.0) if group.outputs == "positive" else op.Less(node.y, 0.0)
    return op.keep_where(chosen, part)


def _total(op: Emitter, parts: Sequence[tuple[float, Any]]) -> Any:
    """Return the sum of factor times part."""
    total: Any = None
    for factor, part in parts:
        if total is not None and factor == -1.0:
            total = op.Sub(total, part)
            continue
        term = part if factor == 1.0 else op.Mul(part, factor)
        total = term if total is None else op.Add(total, term)
    return total


def _weighted(
    rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    """Run the branches with changed operands; of two that vary, each is the input once, for half."""
    active = binding.active
    if len(active) > 1:
        relevance = relevance / len(active)

    def entry(data: int) -> Any:
        x = node.input(data)
        parts: list[tuple[float, Any]] = []
        for group in _groups(rule, binding):
            branches = _branches(rule, op, node, data, group)
            if not any(b.contributes for b in branches):
                continue
            outputs = [(float(b.sign), op.clone(node.source, b.view.inputs)[0]) for b in branches]
            z = _total(op, outputs)
            sign = _common_sign(branches)
            r = _shared(rule, binding, op, node, group, relevance, z, sign)
            for b in branches:
                if b.contributes:
                    back = written(propagate(op, b.backward, r)[data])
                    part = back if b.whole else op.Mul(b.view.input(data), back)
                    parts.append((group.factor * b.sign, part))
        return _total(op, parts) if parts else op.zeros_like(x)

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


class _Operands:
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
        bias = _WEIGHTED[node.op_type]
        has_bias = bias is not None and node.optional(bias) is not None
        self.has_bias = has_bias and branch.bias != "zero" and "bias" not in rule.zero_params
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
        sign = 1 if positive and branch.input == "same" else _SIGN.get(branch.input, 0)
        sign *= _SIGN.get(branch.weight, 0)
        bias_sign = _SIGN.get(branch.bias, 0) if self.has_bias else sign
        self.all_signed = self.sign * sign if sign == bias_sign else 0


def _branches(rule: LRPRule, op: Emitter, node: NodeView, data: int, group: Group) -> list[_Operands]:
    """Return the branches that are not zero anyway."""
    made = [_Operands(rule, op, node, data, branch) for branch in group.branches]
    return [b for b in made if b.contributes or b.has_bias]


def _common_sign(branches: Sequence[_Operands]) -> int:
    """Return the sign that all contributions have, or 0."""
    signs = {b.all_signed for b in branches}
    return signs.pop() if len(signs) == 1 else 0


def _uniform(rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any) -> Sequence[Entry]:
    """Run the branches on an operator whose own weights are positive and all equal."""
    data = 0
    x = node.input(data)
    positive = op.never_negative(x)

    def entry() -> Any:
        parts: list[tuple[float, Any]] = []
        for group in _groups(rule, binding):
            chosen = [
                (b.sign * scaled(rule, b.weight, 1.0), b.input)
                for b in group.branches
                if scaled(rule, b.weight, 1.0) and not (positive and b.input == "negative")
            ]
            if not chosen:
                continue
            inputs = [
                data_part(rule, op, node, data, "same" if positive and i == "positive" else i)
                for _, i in chosen
            ]
            outputs = [
                (f, op.clone(node.source, [v, *node.inputs[1:]])[0])
                for (f, _), v in zip(chosen, inputs, strict=True)
            ]
            signs = {np.sign(f) * (1 if positive and i == "same" else _SIGN.get(i, 0)) for f, i in chosen}
            sign = int(signs.pop()) if len(signs) == 1 else 0
            r = _shared(rule, binding, op, node, group, relevance, _total(op, outputs), sign)
            back = written(propagate(op, node, r)[data])
            for (f, i), v in zip(chosen, inputs, strict=True):
                parts.append((group.factor * f, back if i == "one" else op.Mul(v, back)))
        return _total(op, parts) if parts else op.zeros_like(x)

    return only(node, data, entry)


def _sum(rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any) -> Sequence[Entry]:
    """Run the branches on a sum or difference; operands that do not vary are its bias."""
    count = len(node.inputs)
    signs = [-1.0 if node.op_type == "Sub" and k == 1 else 1.0 for k in range(count)]
    rest = [k for k in range(count) if k not in binding.active]
    ratio = 1.0 / count if node.op_type == "Mean" else 1.0

    def operand_of(branch: Branch, k: int) -> Any:
        x = node.input(k)
        part = "same" if branch.input == "positive" and op.never_negative(x) else branch.input
        return data_part(rule, op, node, k, part)

    shares: list[tuple[Group, Any]] = []

    def write_shares() -> None:
        for group in [] if shares else _groups(rule, binding):
            terms: list[tuple[float, Any]] = []
            for b in group.branches:
                scales = [(k, scaled(rule, b.weight, signs[k])) for k in binding.active]
                terms += [(ratio * b.sign * f, operand_of(b, k)) for k, f in scales if f]
                if b.bias != "zero" and "bias" not in rule.zero_params:
                    offsets = [part_of(op, node.input(k), b.bias, rule.gamma, signs[k]) for k in rest]
                    terms += [(ratio * b.sign * signs[k], v) for k, v in zip(rest, offsets, strict=True)]
            if terms:
                z = op.expand_like(_total(op, terms), node.y)
                shares.append((group, _shared(rule, binding, op, node, group, relevance, z, 0)))

    def entry(k: int) -> Any:
        write_shares()
        parts: list[tuple[float, Any]] = []
        for group, r in shares:
            for b in group.branches:
                factor = group.factor * ratio * b.sign * scaled(rule, b.weight, signs[k])
                if factor:
                    parts.append((factor, r if b.input == "one" else op.Mul(operand_of(b, k), r)))
        return _total(op, parts) if parts else op.zeros_like(node.input(k))

    return [partial(entry, k) if k in binding.active else None for k in range(count)]
