"""Find dynamic quantisation whose scale is multiplied back in, once, behind linear operators.

``DynamicQuantizeLinear`` measures a range on the values themselves; the integers ``c = q - z`` then go
through a matrix product or a convolution, and the result is multiplied by the scale.  Where that is all that
becomes of them, integers in units of any other scale would do as well: ``c s = (c s / t) t``.  So two runs,
each of which measures a range of its own, can be compared in the units of one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import movers

__all__ = ["MEASURED", "Range", "compared_ranges", "measured_ranges", "range_of"]

#: Mark of the nodes that take the zero point off (:data:`onnxplain.graph.facts.GRADIENT_KEY`).
MEASURED = "measured"
_MOVERS = movers()
#: Linear in their first input (MatMul in both).
_LINEAR = _MOVERS | {"Conv", "MatMul"}


@dataclass(eq=False)
class Range:
    """A measured range.

    Attributes
    ----------
    x, scale
        The real numbers, and the scale that they are divided by.
    centred
        The nodes that take the zero point off the integers.
    inside
        All nodes from the real numbers to these.
    """

    x: ir.Value
    scale: ir.Value
    centred: list[ir.Node] = field(default_factory=list)
    inside: set[ir.Node] = field(default_factory=set)


def range_of(node: ir.Node) -> Range | None:
    """Return the range of a node that takes a zero point off, if it was measured on the values."""
    if node.op_type != "Sub" or len(node.inputs) != 2:
        return None
    clip = _made_by(node.inputs[0], "Clip")
    add = None if clip is None else _made_by(clip.inputs[0], "Add")
    if clip is None or add is None or add.inputs[1] is not node.inputs[1]:
        return None
    rounded = _made_by(add.inputs[0], "Round")
    div = None if rounded is None else _made_by(rounded.inputs[0], "Div")
    if rounded is None or div is None or not all(map(_is_straight, (clip, rounded))):
        return None
    x, scale = div.inputs
    if x is None or scale is None or not _is_measured(scale):
        return None
    return Range(x, scale, [node], {node, clip, add, rounded, div})


def compared_ranges(graph: ir.Graph) -> dict[ir.Node, Range]:
    """Return the marked ranges, by each of the nodes inside them."""
    marked = [n for n in graph if n.metadata_props.get(facts.GRADIENT_KEY) == MEASURED]
    return {n: r for r in _ranges(marked).values() for n in (*r.inside, *_zero_point(r.scale))}


def _ranges(nodes: Iterable[ir.Node]) -> dict[ir.Value, Range]:
    """Return the ranges of the nodes that take zero points off, by scale."""
    found: dict[ir.Value, Range] = {}
    for node in nodes:
        one = range_of(node)
        if one is not None:
            held = found.setdefault(one.scale, one)
            if held is not one:
                held.centred.append(node)
                held.inside |= one.inside
    return found


def measured_ranges(graph: ir.Graph) -> list[Range]:
    """Return the ranges whose scales are multiplied back in, once, wherever their integers go."""
    found = _ranges(graph)
    if not found:
        return []
    broken = _broken(graph, found)
    return [r for s, r in found.items() if s not in broken and _is_closed(r)]


def _is_closed(one: Range) -> bool:
    """Tell whether nobody else reads the integers, or what becomes of them on the way."""
    inner = {v for n in one.inside if n not in one.centred for v in n.outputs}
    return all(user in one.inside for v in inner for user, _ in v.uses()) and not any(
        v.is_graph_output() for v in inner
    )


def _broken(graph: ir.Graph, ranges: dict[ir.Value, Range]) -> set[ir.Value]:
    """Follow units through a graph, and return the scales that are not multiplied back in."""
    units: dict[ir.Value, Counter[ir.Value]] = {}
    scales: dict[ir.Value, Counter[ir.Value]] = {s: Counter([s]) for s in ranges}
    broken: set[ir.Value] = set()
    starts = {n: s for s, r in ranges.items() for n in r.centred}
    inside = set().union(*(r.inside for r in ranges.values()))
    measures = {n for s in ranges for n in _zero_point(s)}
    for node in graph:
        if node in starts:
            units[node.outputs[0]] = Counter([starts[node]])
            continue
        if node in inside or node in measures:
            continue
        used = [v for v in _used(node) if v in units or v in scales]
        if not used:
            continue
        kind, made = _outcome(node, units, scales)
        if kind is None:
            broken.update(s for v in used for s in (units.get(v) or scales[v]))
        elif made:
            (units if kind == "unit" else scales)[node.outputs[0]] = made
    for output in graph.outputs:
        broken.update(units.get(output) or scales.get(output) or ())
    return broken


def _outcome(
    node: ir.Node,
    units: dict[ir.Value, Counter[ir.Value]],
    scales: dict[ir.Value, Counter[ir.Value]],
) -> tuple[str | None, Counter[ir.Value]]:
    """Return whether an output is in some units or a scale, and which; None where it is neither."""
    values = [v for v in node.inputs if v is not None]
    none: Counter[ir.Value] = Counter()
    mine = [units[v] for v in values if v in units]
    if node.op_type == "Mul":
        theirs = [scales[v] for v in values if v in scales]
        if len(mine) + len(theirs) == 1:
            other = next(v for v in values if v not in units and v not in scales)
            if not facts.is_constant(other):
                return None, none
            return ("unit", mine[0]) if mine else ("scale", theirs[0])
        if len(theirs) == 2:
            return "scale", theirs[0] + theirs[1]
        if mine and theirs and theirs[0] <= mine[0]:
            return "unit", mine[0] - theirs[0]
        return None, none
    if node.op_type in _MOVERS and values[0] in scales and len(node.outputs) == 1:
        return "scale", scales[values[0]]
    if node.op_type not in _LINEAR or values[0] not in units or len(node.outputs) != 1:
        return None, none
    if node.op_type == "MatMul":
        return "unit", sum(mine, none)
    if node.op_type == "Conv" and len(values) > 2:
        return None, none
    return ("unit", mine[0]) if len(mine) == 1 else (None, none)


def _used(node: ir.Node) -> Iterator[ir.Value]:
    yield from (v for v in node.inputs if v is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in attribute.as_graph().all_nodes():
                yield from (v for v in inner.inputs if v is not None)


def _zero_point(scale: ir.Value) -> Iterator[ir.Node]:
    """Yield the nodes that use a scale to make the zero point."""
    for div in (u for u, k in scale.uses() if u.op_type == "Div" and k == 1):
        clip = next((u for u, _ in div.outputs[0].uses() if u.op_type == "Clip"), None)
        if clip is not None and any(u.op_type == "Round" for u, _ in clip.outputs[0].uses()):
            yield div


def _is_measured(scale: ir.Value) -> bool:
    """Tell whether a scale is made of the extremes of a value, through which no gradient flows."""
    where = _made_by(scale, "Where")
    div = None if where is None else _made_by(where.inputs[2], "Div")
    width = None if div is None else _made_by(div.inputs[0], "Sub")
    if width is None:
        return False
    ends = [_made_by(v, outer) for v, outer in zip(width.inputs, ("Max", "Min"), strict=True)]
    inner = [
        None if end is None else _made_by(end.inputs[0], op_type)
        for end, op_type in zip(ends, ("ReduceMax", "ReduceMin"), strict=True)
    ]
    return all(m is not None and m.metadata_props.get(facts.GRADIENT_KEY) == "stop" for m in inner)


def _is_straight(node: ir.Node) -> bool:
    return node.metadata_props.get(facts.GRADIENT_KEY) == "straight_through"


def _made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type else None
