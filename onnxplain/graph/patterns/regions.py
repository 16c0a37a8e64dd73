"""Which nodes close a piece of graph that is one elementwise function ``y = f(s)``.

Exporters write activations out: SiLU as ``Mul(x, Sigmoid(x))``, GELU as ``0.5 * x * (1 + Erf(x / 1.41))``,
LeakyReLU as ``Max(x, 0.01 * x)``.  Node by node such a piece looks like a product or a sum of several
values, though all of them are functions of the same one.

Every value that only elementwise operators made has a parent: the nearest value of which it is a function.
An operator with one operand has that operand; one with several has the nearest common ancestor of all; what
any other operator made has none.  So parents form trees, and one walk forward finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, is_a, operators

__all__ = ["regions"]

#: Functions of each element by itself, of one operand or of several.
_ELEMENTWISE = operators(Is.ELEMENTWISE, lacks=Is.RANDOM)


def regions(nodes: Sequence[ir.Node], reached: Set[ir.Value]) -> dict[ir.Node, ir.Value]:
    """Find the nodes at which elementwise functions of one value meet again.

    Parameters
    ----------
    nodes
        The nodes on the path, in forward order, of a graph in normal form.
    reached
        The values that depend on what is explained through operators that carry gradients.

    Returns
    -------
    dict
        For each node of ``nodes`` with several operands that depend on ``reached`` (conditions count), whose
        output ``y`` certainly is ``f(s)``, applied to each element: the nearest such ``s``.  It lies in
        ``reached`` and has the shape of ``y``.  Regions inside larger ones have entries of their own.
        Values within a region may have further uses outside it, and may be asked for themselves.
    """
    if not nodes:
        return {}
    graph = nodes[0].graph
    assert graph is not None
    on_path = set(nodes)
    points = _Points(reached)
    shapes = _Shapes()
    found: dict[ir.Node, ir.Value] = {}
    for node in graph:
        operands = [p for v in _operands(node) if (p := points.of(v)) is not None]
        if not operands:
            if any(v in reached for v in _used(node)):
                points.leave_out(node.outputs)
            continue
        if not _is_elementwise(node):
            for output in node.outputs:
                points.add(output, None)
            continue
        output = node.outputs[0]
        shapes.add(node, [p.value for p in operands])
        common = _nearest_common(operands)
        points.add(output, common)
        if len(operands) > 1 and node in on_path:
            source = _first_of(common, reached)
            if source is not None and shapes.same(output, source):
                found[node] = source
    return found


@dataclass(eq=False)
class _Point:
    """A value in its tree; ``jump`` is some ancestor, so chosen that any is a few jumps away."""

    value: ir.Value
    parent: _Point | None = None
    jump: _Point | None = None
    depth: int = 0

    @classmethod
    def below(cls, value: ir.Value, parent: _Point) -> _Point:
        """Hang a value under another (Myers 1983: jump twice as far where the two last jumps were alike)."""
        near = parent.jump
        far = None if near is None else near.jump
        alike = near is not None and far is not None and parent.depth - near.depth == near.depth - far.depth
        return cls(value, parent, far if alike else parent, parent.depth + 1)


class _Points:
    """The trees."""

    def __init__(self, reached: Set[ir.Value]) -> None:
        self._reached = reached
        self._points: dict[ir.Value, _Point | None] = {}

    def of(self, value: ir.Value) -> _Point | None:
        """Return a value's place, None for one that does not depend on what is explained."""
        if value in self._reached and value not in self._points:
            return self.add(value, None)
        return self._points.get(value)

    def add(self, value: ir.Value, parent: _Point | None) -> _Point:
        """Give a value its place."""
        point = _Point(value) if parent is None else _Point.below(value, parent)
        self._points[value] = point
        return point

    def leave_out(self, values: Iterable[ir.Value]) -> None:
        """Note that values do not depend on the content of what is explained, but on dtypes and shapes."""
        self._points.update(dict.fromkeys(values))


def _nearest_common(points: Sequence[_Point]) -> _Point | None:
    """Return the nearest point that is each point itself or an ancestor of it."""
    common: _Point | None = points[0]
    for point in points[1:]:
        if common is None:
            return None
        common = _meet(common, point)
    return common


def _meet(a: _Point, b: _Point) -> _Point | None:
    if a.depth < b.depth:
        a, b = b, a
    while a.depth > b.depth:
        assert a.jump is not None
        assert a.parent is not None
        a = a.jump if a.jump.depth >= b.depth else a.parent
    while a is not b:
        if a.parent is None or b.parent is None:
            return None
        assert a.jump is not None
        assert b.jump is not None
        a, b = (a.parent, b.parent) if a.jump is b.jump else (a.jump, b.jump)
    return a


def _first_of(point: _Point | None, reached: Set[ir.Value]) -> ir.Value | None:
    """Return the nearest ancestor that carries gradients."""
    while point is not None and point.value not in reached:
        point = point.parent
    return None if point is None else point.value


class _Shapes:
    """Which values have the same shape, even where nobody knows which it is."""

    def __init__(self) -> None:
        self._like: dict[ir.Value, ir.Value] = {}

    def add(self, node: ir.Node, operands: Sequence[ir.Value]) -> None:
        """Note to which operand the output's shape is equal, if it certainly is to one."""
        if is_a(node, Is.LIKE_FIRST):
            like = node.inputs[0]
        else:
            inputs = {self._of(i) for i in node.inputs if i is not None}
            candidates = dict.fromkeys(self._of(v) for v in operands)
            like = next((c for c in candidates if all(self._fits(i, c) for i in inputs)), None)
        if like is not None:
            self._like[node.outputs[0]] = self._of(like)

    def same(self, a: ir.Value, b: ir.Value) -> bool:
        """Tell whether two values certainly have the same shape."""
        return self._of(a) is self._of(b) or facts.same_shape(facts.dims(a), facts.dims(b))

    def _of(self, value: ir.Value) -> ir.Value:
        return self._like.get(value, value)

    @staticmethod
    def _fits(small: ir.Value, large: ir.Value) -> bool:
        """Tell whether ``large`` certainly keeps its shape when ``small`` is broadcast with it."""
        inner, outer = facts.dims(small), facts.dims(large)
        if small is large or inner == ():
            return True
        if inner is None or outer is None or len(inner) > len(outer):
            return False
        pairs = zip(reversed(inner), reversed(outer), strict=False)
        return all(i == 1 or (i is not None and i == o) or (isinstance(o, int) and o != 1) for i, o in pairs)


def _is_elementwise(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in _ELEMENTWISE


def _operands(node: ir.Node) -> Iterable[ir.Value]:
    """Return the values whose content decides the outputs'."""
    if is_a(node, Is.SHAPE_ONLY):
        return ()
    if node.op_type == "CastLike":  # it takes only the dtype of its second input
        return [v for v in node.inputs[:1] if v is not None]
    return _used(node)


def _used(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what a node and its subgraphs use."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield from (i for i in current.inputs if i is not None)
        for attribute in current.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                stack.extend(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                stack.extend(inner for graph in attribute.as_graphs() for inner in graph)
