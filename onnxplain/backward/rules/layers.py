"""How a relevance rule runs on linear operators: one way for all of them, by their contributions.

With the contributions ``c_kj`` of the inputs j to an output k (those of one group of a rule's branches, see
:mod:`~onnxplain.backward.rules.terms`), the bias ``b_k``, ``z_k = sum_j c_kj + b_k`` and the stabiliser's
epsilon, ``R_j = sum_k c_kj R_k / stab(z_k)``, times the group's factor.  Where the share of biases is spread
(``bias="spread"``), and with the number n_k of inputs of output k::

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
from functools import partial
from typing import Any, TypeAlias

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Category, Entry, lookup
from onnxplain.backward.rules import scale
from onnxplain.backward.rules.base import Binding, only
from onnxplain.backward.rules.formula import Formula, Group
from onnxplain.backward.rules.stabilizer import is_elementwise, share, share_and_rest
from onnxplain.backward.rules.terms import (
    WEIGHTED,
    Alike,
    Factors,
    Setting,
    Spreading,
    Terms,
    Weighed,
    Whole,
    total,
)
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, operators, traits

__all__ = ["adds_updates", "bind"]

#: What an input gets, by its position.
_Given: TypeAlias = Callable[[int], Weighed]

#: Operators whose own weights are positive and, for each output, all equal.
_UNIFORM = operators(Is.AVERAGES)

#: Operators that are not linear, but whose inputs times derivatives sum to the output all the same.
_HOMOGENEOUS = operators(Is.HOMOGENEOUS, some=Is.EXTREME | Is.NORM, lacks=Is.ELEMENTWISE)

#: Operators that may add updates to what they put them into.
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})


def bind(formula: Formula, binding: Binding) -> BackwardFunction:
    """Say how a formula runs on a node.

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
    if not linear and not (formula.plain and node.op_type in _HOMOGENEOUS):
        raise UnsupportedRuleError(
            f"LRP rule '{formula.name}' needs a linear layer, which {label} is not; give it another rule "
            "in the composite (such as 'pass'), or use integrated_gradients"
        )
    if binding.source is not None:
        raise UnsupportedRuleError(
            f"LRP rule '{formula.name}' needs a linear layer, but {label} closes an activation that is "
            "written out in several operators; give it the rule 'pass' in the composite (or build that with "
            "regions=False)"
        )
    if node.op_type == "Div" and active != (0,):
        raise UnsupportedRuleError(
            f"LRP rule '{formula.name}' needs a linear layer, but {label} divides by what depends on the "
            "input; give it the rule 'product' in the composite"
        )
    biasless = _has_no_bias(node, active, row.category)
    kind = _kind(node, row.category)
    spreads = kind is not None and _spreads(formula, node, biasless)
    as_it_is = formula.plain or (formula.plain_without_bias and biasless)
    if as_it_is and not spreads:
        kind = Whole
    if kind is None:
        several = node.op_type == "Einsum" and len(node.inputs) > 2
        why = "has more than two operands" if several else "has weights that the rule cannot see"
        raise UnsupportedRuleError(
            f"LRP rule '{formula.name}' needs a layer with weights, but {label} {why}; give it the rule "
            "'epsilon' in the composite"
        )
    if spreads and row.category is Category.SUM and len(active) == 1:
        run: Callable[..., Sequence[Entry]] = _all_to_one
    else:
        run = partial(_run, kind, spreads, as_it_is)
    if formula.bias == "scale" and not (formula.plain and biasless):
        run = scale.wrapped(run, node, active, row.category)
    return partial(_entries, formula, binding, run)


def _kind(node: ir.Node, category: Category) -> type[Terms] | None:
    """Return what kind of contributions a node has; None where its weights do not show."""
    if category is Category.SUM or _is_uniform(node):
        return Alike
    if node.op_type not in WEIGHTED or None in node.inputs[:2]:
        return None
    return Factors if node.op_type != "Einsum" or len(node.inputs) == 2 else None


def _is_uniform(node: ir.Node) -> bool:
    return node.op_type in _UNIFORM or (node.op_type == "Einsum" and len(node.inputs) == 1)


def _spreads(formula: Formula, node: ir.Node, biasless: bool) -> bool:
    """Tell whether all is spread that contributions do not account for; in pools that is the stabiliser's."""
    if _is_uniform(node):
        return formula.bias in ("spread", "scale")
    return formula.bias == "spread" and not (formula.plain and biasless)


def adds_updates(node: ir.Node) -> bool:
    """Tell whether a node adds updates to its first input."""
    return node.op_type in _SCATTERS and facts.attr(node, "reduction", "none") == "add"


def _has_no_bias(node: ir.Node, active: tuple[int, ...], category: Category) -> bool:
    """Tell whether a node adds nothing to its contributions, so that leaving biases out changes nothing."""
    if category is Category.SUM:
        return len(active) == len(node.inputs)
    if node.op_type in _SCATTERS:
        return False
    bias = traits(node).bias
    return bias is None or len(node.inputs) <= bias or node.inputs[bias] is None


def _entries(
    formula: Formula,
    binding: Binding,
    run: Callable[..., Sequence[Entry]],
    op: Emitter,
    node: NodeView,
    /,
    *gradients: Any,
) -> Sequence[Entry]:
    return run(formula, binding, op, node, gradients[0])


def _all_to_one(
    formula: Formula, binding: Binding, op: Emitter, node: NodeView, relevance: Any
) -> Sequence[Entry]:
    """Give all that a sum gets to the one operand that varies."""
    return only(node, binding.active[0], relevance)


def _run(
    kind: type[Terms],
    spreads: bool,
    as_it_is: bool,
    formula: Formula,
    binding: Binding,
    op: Emitter,
    node: NodeView,
    relevance: Any,
) -> Sequence[Entry]:
    """Share out what arrives; of several factors that vary, each accounts for the whole once."""
    active = binding.active
    output = node.y
    if binding.rectified is not None and is_elementwise(formula.stabilizer):
        output = binding.rectified  # the ReLU's output leaves the layer and its ReLU to be fused
    at = Setting(formula, op, node, output, spreads)
    row = lookup(node)
    adds = adds_updates(node.source) or (row is not None and row.category is Category.SUM)
    if not adds and len(active) > 1:
        relevance = relevance / len(active)
    written: dict[tuple[int, ...], list[tuple[float, _Given]]] = {}

    def groups(positions: tuple[int, ...]) -> list[tuple[float, _Given]]:
        """Write the shares of the groups that can get anything: none for what a ReLU behind cuts off."""
        made = []
        for group in formula.groups:
            if binding.rectified is not None and group.outputs == "negative":
                continue
            terms = kind(at, group, positions)
            if not (terms.contribute or spreads):
                continue
            arriving = relevance if binding.rectified is not None else _arriving(at, group, relevance)
            if isinstance(terms, Spreading) and spreads:
                made.append((group.factor, _spread(terms, arriving, as_it_is)))
            else:
                part = share(op, arriving, terms.sums(), formula.stabilizer, terms.sign())
                made.append((group.factor, partial(_times, terms, part)))
        return made

    def entry(k: int) -> Any:
        positions = (k,) if kind.alone else active
        if positions not in written:
            written[positions] = groups(positions)
        made = _combined(op, [(factor, given(k)) for factor, given in written[positions]])
        return op.zeros_like(node.input(k)) if made is None else made

    return [partial(entry, k) if k in active else None for k in range(len(node.inputs))]


def _arriving(at: Setting, group: Group, relevance: Any) -> Any:
    """Return what arrives at the outputs that a group is for; where all is spread, 0 counts as positive."""
    if group.outputs == "all":
        return relevance
    if group.outputs == "negative":
        return at.op.keep_where(at.op.Less(at.node.y, 0.0), relevance)
    above = at.op.GreaterOrEqual if at.apart else at.op.Greater
    return at.op.keep_where(above(at.node.y, 0.0), relevance)


def _times(terms: Terms, part: Any, k: int) -> Weighed:
    return terms.back(k, part)


def _spread(terms: Spreading, arriving: Any, as_it_is: bool) -> _Given:
    """Say what inputs get where nothing is kept."""
    op, stabilizer = terms.op, terms.formula.stabilizer
    if not terms.contribute:
        return lambda k: [terms.even(k, arriving)]
    sign = terms.sign()
    if sign:
        size = terms.sums() if sign > 0 else op.Neg(terms.sums())
        q, e = share_and_rest(op, arriving, size, stabilizer, 1)
        return lambda k: [terms.even(k, e), *((sign * f, part) for f, part in terms.back(k, q))]
    bias = terms.bias()
    z = terms.at.output if as_it_is else terms.sums()
    if bias is not None and not as_it_is:
        z = op.annotate(op.Add(z, bias), terms.node.y)
    t, rest = share_and_rest(op, arriving, z, stabilizer)
    left = rest if bias is None else op.Add(rest, op.Mul(t, bias))
    q, e = share_and_rest(op, left, terms.sizes(), stabilizer, 1)
    return lambda k: [*terms.back(k, t), *terms.back_sizes(k, q), terms.even(k, e)]


def _combined(op: Emitter, groups: Sequence[tuple[float, Weighed]]) -> Any:
    """Add up what an input gets from groups; None for nothing."""
    flat: Weighed = []
    for factor, parts in groups:
        if factor == 1.0 or len(parts) == 1:
            flat += [(factor * f, part) for f, part in parts]
        elif parts:
            flat.append((factor, total(op, parts)))
    return total(op, flat) if flat else None
