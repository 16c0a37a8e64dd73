"""What a layer does with the share of its bias under ``bias="spread"``: its inputs get it.

With the contributions ``c_kj`` of the inputs j to an output k (those of one group of a rule's branches), n_k
of them, the bias ``b_k``, ``z_k = sum_j c_kj + b_k`` and the stabiliser's epsilon::

    R_j = sum_k (c_kj + (stab(z_k) - sum_j c_kj) q_kj) R_k / stab(z_k)
          with  q_kj = (|c_kj| + eps / n_k) / (sum_j |c_kj| + eps)

What the contributions do not account for, the share of the bias (and of the stabiliser), goes to the inputs
in proportion to the magnitude of their contributions, and evenly where there are none.  The q of an output
sum to 1, so that nothing is kept.  Where all contributions have one sign, as those of z+ and of each half of
alpha-beta, ``c_kj`` is ``q_kj sum_j c_kj`` but for eps, and the rule is ``R_j = sum_k q_kj R_k``.

By the signed contributions instead, ``q_kj = c_kj / sum_j c_kj``, there would be no bias at all (``"drop"``),
and sums close to 0 would blow relevance up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry
from onnxplain.backward.rules.base import Binding, only, propagate, written
from onnxplain.backward.rules.branches import SIGN, WEIGHTED, branches, common_sign, groups_of, total
from onnxplain.backward.rules.even import evenly
from onnxplain.backward.rules.operands import data_part, part_of, scaled
from onnxplain.backward.rules.stabilizer import Stabilize, is_elementwise, share_and_rest
from onnxplain.backward.view import NodeView

if TYPE_CHECKING:
    from onnxplain.backward.rules.lrp import Group, LRPRule, Part

__all__ = ["Shares", "runner", "shares"]

#: What each contribution, each magnitude of one, and every input alike is to be multiplied with.
Shares = tuple[Any, Any, Any]


def shares(
    op: Emitter,
    relevance: Any,
    z: Any,
    bias: Any,
    size: Callable[[], Any],
    stabilizer: Stabilize,
) -> Shares:
    """Return t, q and e: ``R_j = sum_k c_kj t_k + |c_kj| q_k + e_k / n_k``.

    Parameters
    ----------
    op
        Writes.
    relevance
        What arrives, by output.
    z, bias
        The sums of contributions and bias, and the bias alone (None: there is none).
    size
        Writes the sums of the magnitudes of the contributions.
    stabilizer
        Number or function.
    """
    t, rest = share_and_rest(op, relevance, z, stabilizer)
    left = rest if bias is None else op.Add(rest, op.Mul(t, bias))
    q, e = share_and_rest(op, left, size(), stabilizer, 1)
    return t, q, e


def runner(node: ir.Node, category: Category, uniform: bool) -> Callable[..., Any] | None:
    """Return how a rule that spreads runs on a node; None for operators whose weights it does not know."""
    if category is Category.SUM:
        return _sum
    if uniform:
        return _uniform
    if node.op_type in WEIGHTED and None not in node.inputs[:2]:
        return None if node.op_type == "Einsum" and len(node.inputs) != 2 else _weighted
    return None


def _arriving(op: Emitter, binding: Binding, node: NodeView, group: Group, relevance: Any) -> Any:
    """Return what arrives at the outputs that a group is for; an output of 0 counts as positive."""
    if group.outputs == "all" or binding.rectified is not None:
        return relevance
    negative = op.Less(node.y, 0.0)
    return op.Where(negative, *((0.0, relevance) if group.outputs == "positive" else (relevance, 0.0)))


def _output(rule: LRPRule, binding: Binding, node: NodeView) -> ir.Value:
    """Return the output, or the ReLU's behind it, which leaves the layer and its ReLU to be fused."""
    return binding.rectified if binding.rectified is not None and is_elementwise(rule.stabilizer) else node.y


def _weighted(
    rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    """Spread on a layer that shows its weights; of two factors that vary, each is the input, for half."""
    active = binding.active
    if len(active) > 1:
        relevance = relevance / len(active)

    def entry(data: int) -> Any:
        parts = []
        for group in groups_of(rule, binding):
            arriving = _arriving(op, binding, node, group, relevance)
            parts.append((group.factor, _of_group(rule, binding, op, node, data, group, arriving)))
        return total(op, parts)

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


def _of_group(
    rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, data: int, group: Group, relevance: Any
) -> Any:
    found = branches(replace(rule, bias="drop"), op, node, data, group)
    if not found:
        return evenly(op, node, data, relevance)

    def back(view: NodeView, r: Any) -> Any:
        return op.Mul(view.input(data), written(propagate(op, view, r)[data]))

    def sums() -> Any:
        return total(op, [(float(b.sign), op.clone(node.source, b.view.inputs)[0]) for b in found])

    sign = common_sign(found)
    if sign:
        size = sums() if sign > 0 else op.Neg(sums())
        q, e = share_and_rest(op, relevance, size, rule.stabilizer, 1)
        parts = [(float(sign * b.sign), back(b.view, q)) for b in found]
        return total(op, [*parts, (1.0, evenly(op, node, data, e))])
    bias = None if rule.without_bias else _bias(rule, op, node, group)
    whole = rule.plain or (rule.plain_without_bias and not _biased(node))
    if whole:
        z = _output(rule, binding, node)
    else:
        z = sums() if bias is None else op.annotate(op.Add(sums(), bias), node.y)
    sizes = [_magnitudes(op, node, data, b.view) for b in found]
    t, q, e = shares(
        op,
        relevance,
        z,
        bias,
        lambda: total(op, [(1.0, op.clone(node.source, v.inputs)[0]) for v in sizes]),
        rule.stabilizer,
    )
    parts = [(float(b.sign), back(b.view, t)) for b in found]
    parts += [(1.0, back(v, q)) for v in sizes]
    return total(op, [*parts, (1.0, evenly(op, node, data, e))])


def _biased(node: NodeView) -> bool:
    position = WEIGHTED[node.op_type]
    return position is not None and node.optional(position) is not None


def _bias(rule: LRPRule, op: Emitter, node: NodeView, group: Group) -> Any:
    """Return the parts of the bias that a group counts, so that they broadcast to the output."""
    if not _biased(node):
        return None
    position = WEIGHTED[node.op_type]
    assert position is not None
    value, beta = node.input(position), node.float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    parts = [
        (b.sign * beta, part_of(op, value, b.bias, rule.gamma, beta))
        for b in group.branches
        if b.bias != "zero"
    ]
    if not parts:
        return None
    made = total(op, parts)
    axes = list(range(1, node.rank() - 1)) if node.op_type in ("Conv", "ConvTranspose") else []
    return op.Unsqueeze(made, axes) if axes else made


def _magnitudes(op: Emitter, node: NodeView, data: int, view: NodeView) -> NodeView:
    """Return a branch with the magnitudes of its operands, without a bias."""
    scale = node.float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
    made = [view.input(k) if op.never_negative(view.input(k)) else _size(op, view.input(k)) for k in (0, 1)]
    if scale < 0:
        made[1 - data] = op.once(("minus", made[1 - data]), lambda: op.Neg(made[1 - data]))
    return node.with_inputs(*made)


def _size(op: Emitter, value: ir.Value) -> Any:
    return op.once(("magnitude", value), lambda: op.Abs(value))


def _uniform(rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any) -> Sequence[Entry]:
    """Spread on an operator whose own weights are positive and all equal; it has no bias."""
    x = node.x
    positive = op.never_negative(x)

    def back(r: Any) -> Any:
        return written(propagate(op, node, r)[0])

    def forward(value: Any) -> Any:
        return op.clone(node.source, [value, *node.inputs[1:]])[0]

    def of_group(group: Group, arriving: Any) -> Any:
        found = [
            (b.sign * scaled(rule, b.weight, 1.0), "same" if positive and b.input == "positive" else b.input)
            for b in group.branches
            if scaled(rule, b.weight, 1.0) and not (positive and b.input == "negative")
        ]
        ones = op.Max(forward(op.full_like(x, 1.0)), 1e-6)
        if not found:
            return back(op.Div(arriving, ones))
        c = op.annotate(total(op, [(f, data_part(rule, op, node, 0, i)) for f, i in found]), x)
        signs = {(1 if f > 0 else -1) * (1 if positive and i == "same" else SIGN.get(i, 0)) for f, i in found}
        if signs in ({1}, {-1}):
            size = c if signs == {1} else op.Neg(c)
            z = node.y if size is x else forward(size)
            q, e = share_and_rest(op, arriving, z, rule.stabilizer, 1)
            return op.Add(op.Mul(size, back(q)), back(op.Div(e, ones)))
        size = op.Abs(c)
        t, q, e = shares(
            op,
            arriving,
            _output(rule, binding, node) if c is x else forward(c),
            None,
            lambda: forward(size),
            rule.stabilizer,
        )
        return total(
            op, [(1.0, op.Mul(c, back(t))), (1.0, op.Mul(size, back(q))), (1.0, back(op.Div(e, ones)))]
        )

    def entry() -> Any:
        made = [
            (g.factor, of_group(g, _arriving(op, binding, node, g, relevance)))
            for g in groups_of(rule, binding)
        ]
        return total(op, made)

    return only(node, 0, entry)


def _sum(rule: LRPRule, binding: Binding, op: Emitter, node: NodeView, relevance: Any) -> Sequence[Entry]:
    """Spread on a sum or difference: what does not vary is its bias."""
    count = len(node.inputs)
    active = binding.active
    if len(active) == 1:
        return only(node, active[0], relevance)
    signs = [-1.0 if node.op_type == "Sub" and k == 1 else 1.0 for k in range(count)]
    ratio = 1.0 / count if node.op_type == "Mean" else 1.0
    rest = [k for k in range(count) if k not in active]

    def terms(group: Group, k: int) -> list[tuple[float, Part]]:
        """Return the factors and the parts of an operand that make its contribution."""
        known = op.never_negative(node.input(k))
        found = []
        for b in group.branches:
            factor = ratio * b.sign * scaled(rule, b.weight, signs[k])
            if factor and not (known and b.input == "negative"):
                found.append((factor, "same" if known and b.input == "positive" else b.input))
        return found

    def contribution(group: Group, k: int) -> Any:
        parts = [(f, data_part(rule, op, node, k, part)) for f, part in terms(group, k)]
        return total(op, parts) if parts else op.zeros_like(node.input(k))

    def common(group: Group) -> int:
        """Return the sign that all contributions have, or 0."""
        found = set()
        for k in active:
            known = op.never_negative(node.input(k))
            for factor, part in terms(group, k):
                sign = 1 if known and part == "same" else SIGN.get(part, 0)
                found.add(sign if factor > 0 else -sign)
        return found.pop() if len(found) == 1 else 0

    def offset(group: Group) -> Any:
        parts = [
            (ratio * b.sign * signs[k], part_of(op, node.input(k), b.bias, rule.gamma, signs[k]))
            for b in group.branches
            if b.bias != "zero" and not rule.without_bias
            for k in rest
        ]
        return total(op, parts) if parts else None

    def of_group(group: Group) -> tuple[float, dict[int, Any], Shares]:
        c = {k: contribution(group, k) for k in active}
        arriving = _arriving(op, binding, node, group, relevance)
        size = op.expand_like(total(op, [(1.0, _size(op, v)) for v in c.values()]), node.y)
        if common(group):
            return group.factor, c, (None, *share_and_rest(op, arriving, size, rule.stabilizer, 1))
        bias = offset(group)
        if rule.plain:
            z = _output(rule, binding, node)
        else:
            whole = [(1.0, v) for v in (*c.values(), *([] if bias is None else [bias]))]
            z = op.expand_like(total(op, whole), node.y)
        return group.factor, c, shares(op, arriving, z, bias, lambda: size, rule.stabilizer)

    made: list[tuple[float, dict[int, Any], Shares]] = []

    def entry(k: int) -> Any:
        made.extend([] if made else map(of_group, groups_of(rule, binding)))
        parts = []
        for factor, c, (t, q, e) in made:
            if t is not None:
                parts.append((factor, op.Mul(c[k], t)))
            parts += [(factor, op.Mul(_size(op, c[k]), q)), (factor / len(active), e)]
        return total(op, parts)

    return [partial(entry, k) if k in active else None for k in range(count)]
