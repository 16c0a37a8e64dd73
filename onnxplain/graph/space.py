"""Which axes of a value are channels and which are space, told by what makes it and what reads it.

Convolutions and poolings have channels along axis 1 and space behind it, dense layers and normalisations of
tokens have channels along the last axis.  From there the axes are followed through what moves them
(Transpose, Reshape, Concat...) and through what keeps them (elementwise operators), forwards and backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["Space", "extent", "spaces"]


@dataclass(frozen=True)
class Space:
    """Axes of a value.

    Attributes
    ----------
    channel
        The axis of its channels; None where it has none.
    axes
        Its axes of space, or of tokens, in order; the axis of samples is none of them.
    """

    channel: int | None
    axes: tuple[int, ...]

    def moved(self, places: Mapping[int, int]) -> Space:
        """Return where the axes are, by where they were; what is not named is gone."""
        channel = None if self.channel is None else places.get(self.channel)
        return Space(channel, tuple(sorted(places[a] for a in self.axes if a in places)))


def extent(value: ir.Value, space: Space | None) -> int:
    """Return at how many places a value has numbers; 1 where nothing is known."""
    shape = facts.static_shape(value)
    if space is None or shape is None:
        return 1
    return math.prod(shape[a] for a in space.axes)


def spaces(graph: ir.Graph, samples: Mapping[str, int | None]) -> dict[ir.Value, Space]:
    """Find channels and space of values.

    Parameters
    ----------
    graph
        With the shapes of a call (:func:`~onnxplain.graph.shapes.at_shapes`).
    samples
        The axis of samples by name of a value; those that are left out have it first.
    """
    found: dict[ir.Value, Space] = {}
    nodes = [node for node in graph if node.outputs]
    for _ in range(2):
        for node in nodes:
            made = _forward(node, found, samples)
            shape = facts.static_shape(node.outputs[0])
            if made is not None and shape is not None:
                for output in node.outputs if node.op_type == "Split" else node.outputs[:1]:
                    found.setdefault(output, made)
        for node in reversed(nodes):
            for value, made in _backward(node, found):
                if value.const_value is None and facts.static_shape(value) is not None:
                    found.setdefault(value, made)
    return found


def _forward(
    node: ir.Node, found: Mapping[ir.Value, Space], samples: Mapping[str, int | None]
) -> Space | None:
    """Tell the axes of a node's output."""
    output = node.outputs[0]
    shape = facts.static_shape(output)
    if shape is None or not node.inputs or node.inputs[0] is None:
        return None
    first = found.get(node.inputs[0])
    if is_a(node, Is.SPATIAL) and node.op_type not in ("Resize", "Upsample"):
        return _channels_first(len(shape))
    if node.op_type in ("Resize", "Upsample"):
        return first or _channels_first(len(shape))
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return Space(3, (0,)) if len(shape) == 4 else None
    if node.op_type == "Gather" and facts.is_constant(node.inputs[0]) and facts.is_float(node.inputs[0]):
        return _channels_last(output, shape, samples)
    if node.op_type == "MatMul":
        return _product(node, first, output, shape, samples)
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        return first or _channels_last(output, shape, samples)
    if is_a(node, Is.ELEMENTWISE) or is_a(node, Is.BROADCASTS):
        return _widest(node, found, shape)
    if is_a(node, Is.LIKE_FIRST):
        return first
    if node.op_type == "Concat":
        return next((found[v] for v in node.inputs if v is not None and v in found), None)
    places = _places(node)
    return None if first is None or places is None else _followed(first, places)


def _backward(node: ir.Node, found: Mapping[ir.Value, Space]) -> list[tuple[ir.Value, Space]]:
    """Tell the axes of what a node reads."""
    value = node.inputs[0] if node.inputs else None
    if value is None:
        return []
    rank = facts.rank(value) or 0
    if is_a(node, Is.SPATIAL) and node.op_type not in ("Resize", "Upsample"):
        made = _channels_first(rank)
        return [] if made is None else [(value, made)]
    behind = found.get(node.outputs[0])
    if behind is None:
        return []
    if node.op_type == "Gather" and facts.is_constant(value):
        index = node.inputs[1]
        width = 0 if index is None else facts.rank(index) or 0
        return [] if index is None else [(index, Space(None, tuple(a for a in behind.axes if a < width)))]
    if is_a(node, Is.ELEMENTWISE) or is_a(node, Is.BROADCASTS) or node.op_type == "Concat":
        wide = facts.rank(node.outputs[0])
        return [(v, behind) for v in node.inputs if v is not None and facts.rank(v) == wide]
    if is_a(node, Is.LIKE_FIRST) or (node.op_type == "MatMul" and behind.channel == rank - 1):
        return [(value, behind)]
    places = _places(node)
    if places is None:
        return []
    return [(value, made)] if (made := _followed(behind, [(b, a) for a, b in places])) is not None else []


def _channels_first(rank: int) -> Space | None:
    return Space(1, tuple(range(2, rank))) if rank >= 3 else None


def _channels_last(value: ir.Value, shape: Shape, samples: Mapping[str, int | None]) -> Space | None:
    first = samples.get(str(value.name), 0) or 0
    return Space(len(shape) - 1, tuple(a for a in range(len(shape) - 1) if a != first))


def _product(
    node: ir.Node, x: Space | None, output: ir.Value, shape: Shape, samples: Mapping[str, int | None]
) -> Space | None:
    """Tell the axes behind a dense layer; a product of two computed values, or of places, has none."""
    weight = node.inputs[1]
    if weight is None or not facts.is_constant(weight) or facts.rank(weight) != 2 or len(shape) < 3:
        return None
    if x is not None and x.channel != len(shape) - 1:
        return None
    return x or _channels_last(output, shape, samples)


def _widest(node: ir.Node, found: Mapping[ir.Value, Space], shape: Shape) -> Space | None:
    """Take the axes of the operand that is as wide as the output."""
    known = [v for v in node.inputs if v is not None and v in found and facts.rank(v) == len(shape)]
    whole = [v for v in known if facts.static_shape(v) == shape]
    return next((found[v] for v in (*whole, *known)), None)


def _followed(space: Space, places: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Space | None:
    """Follow axes through groups of axes that become groups of axes; None where channels and space mix."""
    channel: int | None = None
    axes: list[int] = []
    for before, after in places:
        if space.channel in before:
            if len(before) > 1 or len(after) > 1:
                return None
            channel = after[0] if after else None
        elif set(before) & set(space.axes):
            if not set(before) <= set(space.axes):
                return None
            axes += after
    return Space(channel, tuple(sorted(axes)))


def _places(node: ir.Node) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Tell which axes of a node's first input become which of its output; None if that is not known."""
    value, output = node.inputs[0], node.outputs[0]
    before = None if value is None else facts.static_shape(value)
    after = facts.static_shape(output)
    if before is None or after is None:
        return None
    if node.op_type == "Transpose":
        perm = facts.attr(node, "perm") or tuple(reversed(range(len(before))))
        assert isinstance(perm, tuple)
        return [((int(a),), (k,)) for k, a in enumerate(perm)]
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        return _groups(before, after)
    if len(before) == len(after):
        moved = is_a(node, Is.MOVES) or is_a(node, Is.REDUCES) or node.op_type == "CumSum"
        return [((a,), (a,)) for a in range(len(before))] if moved and traits(node).holds(0) else None
    gone = _removed(node, len(before))
    if gone is None or len(before) - len(gone) != len(after):
        return None
    left = [a for a in range(len(before)) if a not in gone]
    return [((a,), (k,)) for k, a in enumerate(left)]


def _removed(node: ir.Node, rank: int) -> set[int] | None:
    """Return the axes that a node takes away."""
    if node.op_type == "Gather":
        axis = facts.attr(node, "axis", 0)
        return {int(str(axis)) % rank}
    if is_a(node, Is.REDUCES):
        axes = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
        return set(range(rank)) if axes is None else {int(a) % rank for a in axes.ravel()}
    return None


def _groups(before: Shape, after: Shape) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Pair axes of two shapes of as many elements, in the smallest groups of equal size."""
    if math.prod(before) != math.prod(after) or not math.prod(before):
        return None
    made: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        if before[i] == after[j]:
            made.append(((i,), (j,)))
            i, j = i + 1, j + 1
            continue
        if after[j] == 1:
            made.append(((), (j,)))
            j += 1
            continue
        if before[i] == 1:
            made.append(((i,), ()))
            i += 1
            continue
        a, b, p, q = i + 1, j + 1, before[i], after[j]
        while p != q:
            if p < q:
                p *= before[a]
                a += 1
            else:
                q *= after[b]
                b += 1
        made.append((tuple(range(i, a)), tuple(range(j, b))))
        i, j = a, b
    made += [((a,), ()) for a in range(i, len(before))] + [((), (b,)) for b in range(j, len(after))]
    return made
