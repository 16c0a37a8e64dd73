"""What a walk along differences cannot follow: values that depend on what is explained where no walk comes.

An ArgMax has no gradient, and a walk that follows gradients rightly passes it by.  A walk that promises that
its parts sum to a difference must not: what such values change would be missing from the sum, without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import onnx_ir as ir

from onnxplain.backward.engine import used_values
from onnxplain.backward.registry import Category, lookup
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, is_a

__all__ = ["refuse_leaks"]

#: They differ only where something is infinite, or no number.
_ODD = frozenset({"IsInf", "IsNaN"})
_LOOPS = frozenset({"Loop", "Scan"})

#: Of a graph, outputs and ends: the nodes that a walk goes through, those that close pieces, what is reached.
Walked: TypeAlias = (
    "Callable[[ir.Graph, Sequence[ir.Value], Sequence[ir.Value]], "
    "tuple[list[ir.Node], set[ir.Value], dict[ir.Node, ir.Value]]]"
)


def refuse_leaks(
    name: str, walked: Walked, graph: ir.Graph, outputs: Sequence[ir.Value], wrt: Iterable[ir.Value]
) -> None:
    """Raise if what is explained has a part in something through which no differences can be followed.

    Parameters
    ----------
    name
        Of the composite.
    walked
        Says how a walk goes: nodes, what depends on the ends, and which of the nodes close pieces.
    graph
        The graph, or the body of a node.
    outputs, wrt
        Where the walk starts, and what is explained.

    Raises
    ------
    UnsupportedRuleError
        Naming the node that differences get lost at.
    """
    depends = _dependents(graph, wrt)
    ends = [v for v in wrt if facts.is_float(v)]
    nodes, reached, pieces = walked(graph, outputs, ends)
    for node in nodes:
        if node in pieces:  # of one value, whatever is inside
            continue
        for k, value in enumerate(used_values(node)):
            if value in depends and not _is_followed(node, k, value, reached):
                raise _refusal(name, value, node, depends, reached)
        for body in _bodies(node):
            start = depends
            if node.op_type in _LOOPS:
                start = depends | _formals(node, body, depends)
                inner = _dependents(body, start)
                if node.op_type == "Loop" and body.outputs[0] in inner:
                    raise _refusal(name, body.outputs[0], node, inner, start, " and says how often it runs")
            results = [v for v in body.outputs if facts.is_float(v)]
            refuse_leaks(name, walked, body, results, start)


def _formals(node: ir.Node, body: ir.Graph, depends: set[ir.Value]) -> set[ir.Value]:
    """Return the inputs of a loop's body that depend on what is explained, at first or after some steps."""
    skipped = 2 if node.op_type == "Loop" else 0
    results = body.outputs[1:] if node.op_type == "Loop" else body.outputs
    formals = body.inputs[skipped:]
    found = {f for f, v in zip(formals, node.inputs[skipped:], strict=True) if v in depends}
    while True:
        inner = _dependents(body, depends | found)
        more = {f for f, r in zip(formals, results, strict=False) if r in inner} - found
        if not more:
            return found
        found |= more


def _dependents(graph: ir.Graph, start: Iterable[ir.Value]) -> set[ir.Value]:
    """Return all values whose content depends on given ones."""
    found = set(start)
    for node in graph:
        if _says_nothing(node):
            continue
        if any(v in found for v in used_values(node)):
            found.update(node.outputs)
    return found


def _says_nothing(node: ir.Node) -> bool:
    """Tell nodes that do not depend on their input's content, and ranges that are the same for both runs."""
    held = node.metadata_props.get(facts.GRADIENT_KEY) == "stop"
    return held or node.op_type in _ODD or is_a(node, Is.SHAPE_ONLY)


def _is_followed(node: ir.Node, k: int, value: ir.Value, reached: set[ir.Value]) -> bool:
    """Tell whether a walk hands something to a value that a node uses."""
    if value not in reached:
        return False
    row = lookup(node)
    assert row is not None
    if facts.is_float(value) or row.any_type or node.op_type in ("Where", "Concat"):
        return True
    return k == 0 and (row.category is Category.STRUCTURAL or node.op_type == "If")


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()


def _stop(value: ir.Value, depends: set[ir.Value], reached: set[ir.Value]) -> ir.Node | None:
    """Return the node at which a walk towards a value would end."""
    node = value.producer()
    while node is not None and not any(v in reached for v in used_values(node)):
        made = next((p for v in used_values(node) if v in depends and (p := v.producer()) is not None), None)
        if made is None:
            break
        node = made
    return node


def _refusal(
    name: str, value: ir.Value, node: ir.Node, depends: set[ir.Value], reached: set[ir.Value], why: str = ""
) -> UnsupportedRuleError:
    stop = _stop(value, depends, reached)
    made_by = f"'{value.name}'" if stop is None else f"what {facts.node_label(stop)} makes of it"
    return UnsupportedRuleError(
        f"composite '{name}' cannot be used on {facts.node_label(node)}: {made_by} depends on what is "
        f"explained{why}, and no differences can be followed through it; use integrated_gradients, which "
        "compares with a reference too, or explain an inner value behind the node (wrt=...)"
    )
