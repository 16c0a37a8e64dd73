"""The last value on the way to a score that has space: where activation maps are taken by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.space import Space, extent
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["Way", "last_space", "way"]


@dataclass(frozen=True, eq=False)
class Way:
    """What lies between a value and a score.

    Attributes
    ----------
    start, scored
        Both ends.
    nodes
        The nodes between them, in order.
    values
        The values that depend on the one and reach the other, the ends too, in order.
    """

    start: ir.Value
    scored: ir.Value
    nodes: tuple[ir.Node, ...]
    values: tuple[ir.Value, ...]


def way(graph: ir.Graph, start: ir.Value, scored: ir.Value) -> Way:
    """Find what lies between a value and a score, through what depends on more than its shape."""
    reached = {start}
    forward = []
    for node in graph:
        if not is_a(node, Is.SHAPE_ONLY) and any(v in reached for v in _read(node)):
            reached.update(node.outputs)
            forward.append(node)
    needed, kept = {scored}, []
    for node in reversed(forward):
        if any(o in needed for o in node.outputs):
            needed.update(v for v in _read(node) if v in reached)
            kept.append(node)
    kept.reverse()
    values = dict.fromkeys([start, *(o for node in kept for o in node.outputs if o in needed)])
    return Way(start, scored, tuple(kept), tuple(v for v in values if v in needed))


def last_space(
    found: Way, spaces: Mapping[ir.Value, Space], fits: Callable[[ir.Value], bool]
) -> ir.Value | None:
    """Return the last value with channels and more than one place; None if there is none.

    Looked for is a value through which all ways lead, of which the score reads more than one place by its
    position (behind the last attention, a classifier reads its class token alone), and behind which a layer
    with weights follows; without the conditions that nothing keeps.  Of a score that has space itself (a
    segmentation, a detector) it is the coarsest such value from which most other resolutions are made: the
    bottleneck.

    Parameters
    ----------
    found
        The way to the score.
    spaces
        Channels and space of values.
    fits
        Tells whether a value will do otherwise.
    """
    alone = _alone(found, spaces)
    weighted = _before_weights(found)
    known = [
        v
        for v in found.values
        if facts.is_float(v)
        and (space := spaces.get(v)) is not None
        and space.channel is not None
        and extent(v, space) > 1
        and v not in alone
        and not v.is_graph_input()
        and v is not found.scored
        and fits(v)
    ]
    if not known:
        return None
    if extent(found.scored, spaces.get(found.scored)) > 1:
        return _bottleneck(found, [v for v in known if v in weighted] or known, spaces)
    single = _single(found)
    for group in ([v for v in known if v in single], known):
        for chosen in ([v for v in group if v in weighted], group):
            if chosen:
                return chosen[-1]
    return None


def _read(node: ir.Node) -> list[ir.Value]:
    """Return what a node reads, its subgraphs too."""
    values = [v for v in node.inputs if v is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            values += [v for inner in attribute.as_graph() for v in _read(inner)]
    return values


def _single(found: Way) -> set[ir.Value]:
    """Return the values through which all ways lead."""
    on_way = set(found.values)
    last: dict[ir.Value, int] = {}
    for k, node in enumerate(found.nodes):
        last.update((v, k) for v in _read(node) if v in on_way)
    last[found.scored] = len(found.nodes)
    open_now, single = {found.start}, {found.start}
    for k, node in enumerate(found.nodes):
        open_now -= {v for v in _read(node) if last.get(v) == k}
        open_now |= {o for o in node.outputs if o in on_way}
        if len(open_now) == 1:
            single |= open_now
    return single


def _before_weights(found: Way) -> set[ir.Value]:
    """Return the values behind which a layer with constant weights follows."""
    on_way, made = set(found.values), set[ir.Value]()
    for node in reversed(found.nodes):
        weight = traits(node).weight
        layer = is_a(node, Is.LAYER) and weight is not None and weight < len(node.inputs)
        here = layer and sum(v is not None and v in on_way for v in node.inputs) == 1
        if here or any(o in made for o in node.outputs):
            made.update(v for v in _read(node) if v in on_way)
    return made


def _alone(found: Way, spaces: Mapping[ir.Value, Space]) -> set[ir.Value]:
    """Return the values of which a single place is read, chosen by its position."""
    on_way = set(found.values)
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node in found.nodes:
        for value in _read(node):
            if value in on_way:
                readers.setdefault(value, []).append(node)
    alone: set[ir.Value] = set()
    for value in reversed(found.values):
        ways = readers.get(value, [])
        if (
            ways
            and value is not found.scored
            and all(_takes_one(n, value, spaces, alone, on_way) for n in ways)
        ):
            alone.add(value)
    return alone


def _takes_one(
    node: ir.Node,
    value: ir.Value,
    spaces: Mapping[ir.Value, Space],
    alone: set[ir.Value],
    reached: set[ir.Value],
) -> bool:
    """Tell whether a node reads one place only, or keeps places apart of which one only is read later."""
    if is_a(node, Is.MOVES | Is.DROPS) and node.inputs[0] is value:
        left = [o for o in node.outputs if o in spaces]
        if extent(value, spaces.get(value)) > 1 and left and all(extent(o, spaces[o]) == 1 for o in left):
            return True
    weight = traits(node).weight
    dense = node.op_type == "MatMul" and weight is not None and facts.is_constant(node.inputs[weight])
    apart = (
        is_a(node, Is.ELEMENTWISE)
        or (is_a(node, Is.MOVES) and not is_a(node, Is.DROPS))
        or node.op_type in ("LayerNormalization", "RMSNormalization")
        or (dense and node.inputs[0] is value)
    )
    return apart and all(o in alone for o in node.outputs if o in reached)


def _bottleneck(found: Way, known: Sequence[ir.Value], spaces: Mapping[ir.Value, Space]) -> ir.Value:
    """Return the last of the coarsest values from which most other resolutions are made."""
    extents = {v: extent(v, spaces.get(v)) for v in found.values}
    behind: dict[ir.Value, set[int]] = {v: {extents[v]} - {1} for v in found.values}
    for node in reversed(found.nodes):
        made = set[int]().union(*(behind[o] for o in node.outputs if o in behind))
        for value in _read(node):
            if value in behind:
                behind[value] |= made
    coarse = min(extents[v] for v in known)
    least = [v for v in known if extents[v] == coarse]
    most = max(len(behind[v]) for v in least)
    best = [v for v in least if len(behind[v]) == most]
    single = _single(found)
    return ([v for v in best if v in single] or best)[-1]
