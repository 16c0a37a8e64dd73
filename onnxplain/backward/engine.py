"""The walk backward through a graph.

A rule states only the mathematics of one operator.  Everything that repeats is here: which nodes lie
between what is asked for and the output, adding up gradients that meet, summing over broadcast axes,
writing only the entries that somebody needs, naming new nodes after the node they explain, and one error
for an operator without a rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxplain.backward.cotangent import Several, each, one_by_one, size
from onnxplain.backward.emitter import Emitter, Rules
from onnxplain.backward.registry import BackwardFunction, Category, OperatorRule, lookup, written
from onnxplain.backward.unchosen import nothing_where_zero, unchosen
from onnxplain.backward.view import NodeView
from onnxplain.errors import NotExplainableError, UnsupportedOperatorError
from onnxplain.graph import facts

__all__ = ["backward", "between", "check_entries", "must_reach", "no_path", "no_rule"]

_STOPS = (Category.ZERO, Category.NONDIFFERENTIABLE)


def between(
    graph: ir.Graph, outputs: Iterable[ir.Value], wrt: Iterable[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Find the nodes that carry gradients from ``outputs`` back to ``wrt``.

    Returns
    -------
    list of ir.Node, set of ir.Value
        The nodes in forward order, and all values that depend on ``wrt`` through them.
    """
    reached = set(wrt)
    forward: list[ir.Node] = []
    for node in graph:
        rule = lookup(node)
        if rule is not None and rule.category in _STOPS:
            continue
        if any(i in reached for i in used_values(node)):
            whole = _hands_on_any_type(node, rule, reached)
            carriers = [o for o in node.outputs if whole or facts.is_float(o)]
            reached.update(o for o in carriers if o not in reached)
            if carriers:
                forward.append(node)
    needed = set(outputs)
    kept: list[ir.Node] = []
    for node in reversed(forward):
        if any(o in needed for o in node.outputs):
            kept.append(node)
            needed.update(i for i in used_values(node) if i in reached)
    kept.reverse()
    return kept, reached


def _hands_on_any_type(node: ir.Node, rule: OperatorRule | None, reached: set[ir.Value]) -> bool:
    """Tell whether outputs that are no floats belong to a path: differences of truth values, say."""
    if rule is None or rule.category is not Category.STRUCTURAL:
        return rule is not None and rule.any_type
    return rule.any_type or any(i in reached and not _holds_gradient(i) for i in node.inputs if i is not None)


def _holds_gradient(value: ir.Value) -> bool:
    """Tell floats, and integers that are given, from what a walk along differences computes with."""
    return facts.is_float(value) or value.producer() is None


def used_values(node: ir.Node) -> list[ir.Value]:
    """Return a node's inputs, and the values of the outer graph that its subgraphs use."""
    values = [i for i in node.inputs if i is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph():
                values.extend(used_values(inner))
    return values


def backward(
    op: Emitter,
    seeds: Mapping[ir.Value, ir.Value],
    wrt: Sequence[ir.Value],
    rules: Rules | None = None,
) -> dict[ir.Value, ir.Value]:
    """Write the backward pass.

    Parameters
    ----------
    op
        Writes into the graph that is walked.
    seeds
        Where the walk starts: the gradient of each output.
    wrt
        The values asked for: inputs, or anything inside the graph.
    rules
        What replaces the gradients of nodes (None: nothing).

    Returns
    -------
    dict
        For each value of ``wrt`` its gradient (or relevance), zeros where the outputs do not depend on it.

    Raises
    ------
    NotExplainableError
        If no output depends differentiably on any of the values.
    UnsupportedOperatorError
        If an operator on the way has no gradient.
    """
    nodes, reached = must_reach(op.graph, seeds, wrt)
    parts: dict[ir.Value, list[Any]] = {value: [seed] for value, seed in seeds.items()}
    walk = _Walk(reached, set(wrt), unchosen(nodes, seeds), rules is not None and rules.differences)
    scope, outer, op.rules = op.scope, op.rules, rules
    with op.arithmetic():
        for node in reversed(nodes):
            op.scope = f"{scope}/{node.name}"
            _step(op, node, parts, walk, rules)
        op.scope = scope
        made = {v: _end(op, v, _total(op, v, parts, keep=True)) for v in wrt}
    op.rules = outer
    return made


def must_reach(
    graph: ir.Graph, outputs: Iterable[ir.Value], wrt: Collection[ir.Value]
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return what :func:`between` returns.

    Raises
    ------
    NotExplainableError
        If no output depends differentiably on any of the values.
    """
    outputs = list(outputs)
    nodes, reached = between(graph, outputs, wrt)
    if not nodes and not any(o in wrt for o in outputs):
        raise NotExplainableError(no_path(graph, outputs, wrt))
    return nodes, reached


def _end(op: Emitter, value: ir.Value, arrived: Any) -> ir.Value:
    """Return what a walk gives for a value that it ends at."""
    if arrived is None:
        return op.zeros_like(value)
    made: ir.Value = arrived.single(op, value) if isinstance(arrived, Several) else arrived
    return made


@dataclass(frozen=True)
class _Walk:
    """What a walk knows: the values on its way, those asked for, :func:`unchosen` nodes, what it follows."""

    reached: set[ir.Value]
    asked: set[ir.Value]
    unchosen: set[ir.Node]
    differences: bool


def _step(
    op: Emitter,
    node: ir.Node,
    parts: dict[ir.Value, list[Any]],
    walk: _Walk,
    rules: Rules | None,
) -> None:
    """Hand what has arrived at a node's outputs on to its inputs."""
    gradients = [_total(op, o, parts, keep=o in walk.asked) for o in node.outputs]
    if all(g is None for g in gradients):
        return
    rule = lookup(node)
    if rule is None:
        raise UnsupportedOperatorError(
            f"{no_rule(node)}, and lies between the output and the input; "
            "run 'onnxplain inspect' to see what stops an explanation, explain an inner value behind it "
            "(wrt=...), or register one with onnxplain.backward.registry.gradient"
        )
    modified = rules.function(node) if rules is not None else None
    op.inner_rules = rules.inside(node) if rules is not None else None
    ledger, op.ledger = op.ledger, None  # what a node is written out as counts as the node
    if getattr(modified, "takes_several", False):
        made = _entries(op, node, rule, modified, gradients, walk)
    else:
        made = one_by_one(lambda *row: _entries(op, node, rule, modified, row, walk), gradients)
    op.ledger = ledger
    arrived, handed_on = [g for g in gradients if g is not None], [part for _, part in made]
    if ledger is not None and not any(isinstance(v, Several) for v in (*arrived, *handed_on)):
        ledger.append((node, arrived, handed_on))
    for value, part in made:
        parts.setdefault(value, []).append(part)


def _entries(
    op: Emitter,
    node: ir.Node,
    rule: OperatorRule,
    modified: BackwardFunction | None,
    gradients: Sequence[Any],
    walk: _Walk,
) -> list[tuple[ir.Value, Any]]:
    """Run a rule, and return what it says of each value that somebody needs."""
    view = NodeView.of(node)
    if rule.collective is not None and modified is None:
        needed = [v for v in dict.fromkeys(used_values(node)) if v in walk.reached and facts.is_float(v)]
        found = rule.collective(op, view, needed, *gradients)
        return [(v, op.annotate(found[v], v)) for v in needed if v in found]  # a state may start constant
    function = modified or rule.vjp
    assert function is not None
    if not rule.all_outputs:
        _refuse_further_outputs(node, gradients)
        if gradients[0] is None:
            return []
    entries = function(op, view, *(gradients if rule.all_outputs else gradients[:1]))
    if isinstance(entries, Mapping):  # straight to values further back
        kept = {
            v: _guarded(op, node, part, gradients[0], modified, walk)
            for v, part in entries.items()
            if v in walk.reached
        }
        return [(v, _fit(op, rule, v, part, facts.dims(v))) for v, part in kept.items()]
    check_entries(node, entries, walk.reached)
    wide = facts.dims(node.outputs[0])
    made: list[tuple[ir.Value, Any]] = []
    for value, entry in zip(node.inputs, entries, strict=False):
        if value is None or value not in walk.reached or entry is None:
            continue
        if not facts.is_float(value) and value.producer() is None:
            continue
        part = written(entry)
        if part is not None:
            part = _guarded(op, node, part, gradients[0], modified, walk)
            made.append((value, _fit(op, rule, value, part, wide)))
    return made


def check_entries(node: ir.Node, entries: Sequence[Any], reached: set[ir.Value]) -> None:
    """Assert that a rule speaks of every input that may have a gradient: what it leaves out would count as 0.

    Entries beyond a node's last input are those of optional ones, and whole numbers need none.

    Raises
    ------
    AssertionError
        If there is none for an input that is a float, or on the path.
    """
    left_out = [v for v in node.inputs[len(entries) :] if v is not None]
    missing = [v for v in left_out if facts.is_float(v) or v in reached]
    if missing:
        raise AssertionError(
            f"the rule of {facts.node_label(node)} gives {len(entries)} entries for {len(node.inputs)} "
            f"inputs, and says nothing of {_quoted(missing)}; return one entry per input, None for none"
        )


def _guarded(
    op: Emitter, node: ir.Node, part: Any, g: Any, modified: BackwardFunction | None, walk: _Walk
) -> Any:
    """Keep what was not chosen from being 0 times infinity, in walks by derivatives and by differences."""
    if node not in walk.unchosen or (modified is not None and not walk.differences):
        return part
    if getattr(modified, "mixes", False):
        return part
    g = g if isinstance(part, Several) else size(op, g)
    return each(lambda p, arrived: nothing_where_zero(op, p, arrived), part, g)


def _refuse_further_outputs(node: ir.Node, gradients: Sequence[Any]) -> None:
    """Raise if something arrives at an output that the operator's rule does not speak of."""
    for k, g in enumerate(gradients[1:], 1):
        if g is not None:
            raise UnsupportedOperatorError(
                f"{facts.node_label(node)}: its output {k}, '{node.outputs[k].name}', is used, and has no "
                "gradient here; export the model without it, or explain an inner value behind it (wrt=...)"
            )


def _fit(op: Emitter, rule: OperatorRule, value: ir.Value, part: Any, wide: Any) -> Any:
    """Bring an entry into the shape of its value."""
    fit = (lambda p: op.unbroadcast(p, value, wide)) if rule.broadcasts else (lambda p: op.annotate(p, value))
    return each(fit, part)


def _total(op: Emitter, value: ir.Value, parts: dict[ir.Value, list[Any]], keep: bool) -> Any:
    """Add up what has arrived at a value."""
    found = parts.get(value) if keep else parts.pop(value, None)
    if not found:
        return None
    total = each(lambda *row: _sum(op, value, row), *found)
    if keep:
        parts[value] = [total]
    return total


def _sum(op: Emitter, value: ir.Value, found: Sequence[ir.Value]) -> ir.Value:
    return found[0] if len(found) == 1 else op.annotate(op.Sum(*found), value)


def no_rule(node: ir.Node) -> str:
    """Say that a node has no gradient, and why if that is known."""
    reason = node.metadata_props.get(facts.REASON_KEY)
    return f"{facts.node_label(node)} has no gradient here{f' ({reason})' if reason else ''}"


def no_path(graph: ir.Graph, outputs: Iterable[ir.Value], wrt: Iterable[ir.Value]) -> str:
    """Say that outputs do not depend differentiably on values, what stops gradients on the way, and why."""
    seeds, sources = list(outputs), list(wrt)
    stops = {n.op_type: r.reason for n in _all_between(graph, seeds, sources) if (r := _stop(n)) is not None}
    told = sorted(f"{op_type}: {reason}" if reason else op_type for op_type, reason in stops.items())
    why = f" (these operators let none through: {'; '.join(told)})" if told else ""
    return (
        f"output {_quoted(seeds)} does not depend differentiably on {_quoted(sources)}{why}; "
        "name another output or input, or use a method that asks for scores alone (feature_ablation; "
        "tree_shap for trees)"
    )


def _quoted(values: Iterable[ir.Value]) -> str:
    return ", ".join(f"'{v.name}'" for v in values)


def _stop(node: ir.Node) -> OperatorRule | None:
    rule = lookup(node)
    return rule if rule is not None and rule.category in _STOPS else None


def _all_between(graph: ir.Graph, outputs: Iterable[ir.Value], wrt: Iterable[ir.Value]) -> list[ir.Node]:
    """Return the nodes between ``wrt`` and ``outputs``, whether gradients flow through them or not."""
    reached = set(wrt)
    forward = []
    for node in graph:
        if any(i in reached for i in used_values(node)):
            reached.update(node.outputs)
            forward.append(node)
    needed = set(outputs)
    kept = []
    for node in reversed(forward):
        if any(o in needed for o in node.outputs):
            needed.update(used_values(node))
            kept.append(node)
    return kept
