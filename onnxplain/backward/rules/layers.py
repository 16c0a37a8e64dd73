"""How a relevance rule runs on linear operators: those with a weight operand, pools, and sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Category, Entry, lookup
from onnxplain.backward.rules import scale, spread
from onnxplain.backward.rules.base import Binding, only, propagate, written
from onnxplain.backward.rules.branches import SIGN, WEIGHTED, branches, common_sign, groups_of, total
from onnxplain.backward.rules.operands import data_part, part_of, scaled
from onnxplain.backward.rules.stabilizer import is_elementwise, share
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts

if TYPE_CHECKING:
    from onnxplain.backward.rules.lrp import Branch, Group, LRPRule

__all__ = ["adds_updates", "bind"]

#: Operators whose own weights are positive and, for each output, all equal.
_UNIFORM = frozenset({"AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean"})

#: Operators that are not linear, but whose inputs times derivatives sum to the output all the same.
_HOMOGENEOUS = frozenset(
    {"MaxPool", "GlobalMaxPool", "LpPool", "GlobalLpPool", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin"}
)

#: Operators that may add updates to what they put them into.
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})

#: Other operators that add something to their contributions.
_SHIFTED = _SCATTERS | {"BatchNormalization", "DeformConv"}


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
    run: Callable[..., Any] | None
    biasless = _has_no_bias(node, active, row.category)
    uniform = node.op_type in _UNIFORM or (node.op_type == "Einsum" and len(node.inputs) == 1)
    spreads = rule.bias == "spread" and not (rule.plain and biasless)
    if (spreads or (uniform and rule.bias in ("spread", "scale"))) and (
        run := spread.runner(node, row.category, uniform)
    ) is not None:
        pass
    elif rule.plain or (rule.plain_without_bias and biasless):
        run = _as_it_is
    elif row.category is Category.SUM:
        run = _sum
    elif uniform:
        run = _uniform
    elif node.op_type in WEIGHTED and len([i for i in node.inputs[:2] if i is not None]) == 2:
        run = _weighted
        if node.op_type == "Einsum" and len(node.inputs) > 2:
            run = _refuse(rule, label, "has more than two operands")
    else:
        run = _refuse(rule, label, "has weights that the rule cannot see")
    if rule.bias == "scale" and not (rule.plain and biasless):
        run = scale.wrapped(run, node, active, row.category)
    return partial(_entries, rule, binding, run)


def adds_updates(node: ir.Node) -> bool:
    """Tell whether a node adds updates to its first input."""
    return node.op_type in _SCATTERS and facts.attr(node, "reduction", "none") == "add"


def _has_no_bias(node: ir.Node, active: tuple[int, ...], category: Category) -> bool:
    """Tell whether a node adds nothing to its contributions, so that leaving biases out changes nothing."""
    if category is Category.SUM:
        return len(active) == len(node.inputs)
    if node.op_type not in WEIGHTED:
        return node.op_type not in _SHIFTED
    bias = WEIGHTED[node.op_type]
    return bias is None or len(node.inputs) <= bias or node.inputs[bias] is None


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
        for group in groups_of(rule, binding):
            chosen = branches(rule, op, node, data, group)
            if not any(b.contributes for b in chosen):
                continue
            outputs = [(float(b.sign), op.clone(node.source, b.view.inputs)[0]) for b in chosen]
            z = total(op, outputs)
            sign = common_sign(chosen)
            r = _shared(rule, binding, op, node, group, relevance, z, sign)
            for b in chosen:
                if b.contributes:
                    back = written(propagate(op, b.backward, r)[data])
                    part = back if b.whole else op.Mul(b.view.input(data), back)
                    parts.append((group.factor * b.sign, part))
        return total(op, parts) if parts else op.zeros_like(x)

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


def _uniform(rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any) -> Sequence[Entry]:
    """Run the branches on an operator whose own weights are positive and all equal."""
    data = 0
    x = node.input(data)
    positive = op.never_negative(x)

    def entry() -> Any:
        parts: list[tuple[float, Any]] = []
        for group in groups_of(rule, binding):
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
            signs = {np.sign(f) * (1 if positive and i == "same" else SIGN.get(i, 0)) for f, i in chosen}
            sign = int(signs.pop()) if len(signs) == 1 else 0
            r = _shared(rule, binding, op, node, group, relevance, total(op, outputs), sign)
            back = written(propagate(op, node, r)[data])
            for (f, i), v in zip(chosen, inputs, strict=True):
                parts.append((group.factor * f, back if i == "one" else op.Mul(v, back)))
        return total(op, parts) if parts else op.zeros_like(x)

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
        for group in [] if shares else groups_of(rule, binding):
            terms: list[tuple[float, Any]] = []
            for b in group.branches:
                scales = [(k, scaled(rule, b.weight, signs[k])) for k in binding.active]
                terms += [(ratio * b.sign * f, operand_of(b, k)) for k, f in scales if f]
                if b.bias != "zero" and not rule.without_bias:
                    offsets = [part_of(op, node.input(k), b.bias, rule.gamma, signs[k]) for k in rest]
                    terms += [(ratio * b.sign * signs[k], v) for k, v in zip(rest, offsets, strict=True)]
            if terms:
                z = op.expand_like(total(op, terms), node.y)
                shares.append((group, _shared(rule, binding, op, node, group, relevance, z, 0)))

    def entry(k: int) -> Any:
        write_shares()
        parts: list[tuple[float, Any]] = []
        for group, r in shares:
            for b in group.branches:
                factor = group.factor * ratio * b.sign * scaled(rule, b.weight, signs[k])
                if factor:
                    parts.append((factor, r if b.input == "one" else op.Mul(operand_of(b, k), r)))
        return total(op, parts) if parts else op.zeros_like(node.input(k))

    return [partial(entry, k) if k in binding.active else None for k in range(count)]
