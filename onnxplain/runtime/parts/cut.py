"""A program in two parts: what depends on some inputs alone, and the rest, which reads what that makes.

The first are references, while samples come later; or samples, while the target comes later.  What depends on
neither (weights, masks that are given) stands in both parts.  What depends on shapes alone is computed in
each part from its own values: activations at a sample and at its reference have the same shape.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.backward.engine import used_values
from onnxplain.backward.program import Program
from onnxplain.graph.names import Names
from onnxplain.graph.traits import Is, is_a
from onnxplain.runtime.front import end_in

__all__ = ["Cut", "cut"]


@dataclass(frozen=True)
class Cut:
    """The two parts of a program.

    Attributes
    ----------
    front
        From the first inputs (and those that belong to neither part) to the values that the rest reads.
    back
        The rest: takes these values as inputs of the same names.
    given
        Names of what the back takes of them: first inputs themselves, and outputs of the front.
    """

    front: ir.Model
    back: ir.Model
    given: tuple[str, ...]


class _Side(enum.Enum):
    """What a value depends on."""

    NEITHER = enum.auto()
    SHAPES = enum.auto()
    FIRST = enum.auto()
    LATER = enum.auto()


def cut(program: Program, first: Collection[str], later: Collection[str]) -> Cut | None:
    """Cut a program in two; it is left as it is.

    Parameters
    ----------
    program
        The program.
    first
        Names of the inputs on which the front depends.
    later
        Names of the inputs on which it must not depend.

    Returns
    -------
    None if nothing is computed from the first inputs alone, or the program cannot be cut.
    """
    graph = program.model.graph
    if _forbids(graph):
        return None
    sides = _sides(program, first, later)
    by_name = {str(v.name): v for v in sides}
    twins = {by_name[a]: by_name[b] for a, b in program.twins.items() if a in by_name and b in by_name}
    needed = dict.fromkeys(
        v
        for node in graph
        if _side(node, sides) is not _Side.FIRST
        for v in used_values(node)
        if sides.get(v) is _Side.FIRST
    )
    made = [str(v.name) for v in needed if v.producer() is not None]
    if not made:
        return None
    other = {b: a for a, b in twins.items()}
    back = _back(program.model, [str(v.name) for v in needed], _measured(graph, sides, _Side.FIRST, other))
    made = [name for name in made if any(v.name == name for v in back.graph.inputs)]
    if not made:
        return None
    front = _front(program.model, made, _measured(graph, sides, _Side.LATER, twins))
    if {v.name for v in front.graph.inputs} & {*later}:  # a shape that only these tell
        return None
    taken = {str(v.name) for v in back.graph.inputs}
    return Cut(front, back, tuple(str(v.name) for v in needed if v.name in taken))


def _forbids(graph: ir.Graph) -> bool:
    """Whether a program draws numbers, which parts would draw apart, or has texts, which cannot be held."""
    ends = (*graph.inputs, *graph.outputs)
    return any(v.dtype == ir.DataType.STRING for v in ends) or any(
        is_a(node, Is.RANDOM) and node.op_type != "Dropout" for node in graph.all_nodes()
    )


def _sides(program: Program, first: Collection[str], later: Collection[str]) -> dict[ir.Value, _Side]:
    """Return what each value of the main graph depends on."""
    graph = program.model.graph
    twins = dict(program.twins)
    while True:
        sides = dict.fromkeys((*graph.initializers.values(), *graph.inputs), _Side.NEITHER)
        sides |= {v: _Side.LATER for v in graph.inputs if v.name in later}
        sides |= {v: _Side.FIRST for v in graph.inputs if v.name in first}
        measured: dict[str, str] = {}
        for node in graph:
            side = _side(node, sides)
            source = node.inputs[0] if node.inputs else None
            if side is _Side.LATER and source is not None and is_a(node, Is.SHAPE_ONLY):
                there = twins.get(str(source.name))
                if there is not None:
                    measured[str(source.name)] = there
                    side = _Side.SHAPES
            sides.update(dict.fromkeys(node.outputs, side))
        found = {str(v.name): side for v, side in sides.items()}
        wrong = [a for a, b in measured.items() if found.get(b) is not _Side.FIRST]
        if not wrong:
            return sides
        for name in wrong:  # what shape it has, the front cannot tell
            del twins[name]


def _side(node: ir.Node, sides: Mapping[ir.Value, _Side]) -> _Side:
    """Return what a node's results depend on."""
    told = sides.get(node.outputs[0]) if node.outputs else None
    if told is not None:
        return told
    used = {sides.get(v, _Side.NEITHER) for v in used_values(node)}
    if is_a(node, Is.SHAPE_ONLY) and used == {_Side.FIRST}:
        return _Side.SHAPES
    if _Side.LATER in used or any(v.is_graph_output() for v in node.outputs):
        return _Side.LATER
    for side in (_Side.FIRST, _Side.SHAPES):
        if side in used:
            return side
    return _Side.NEITHER


def _measured(
    graph: ir.Graph, sides: Mapping[ir.Value, _Side], side: _Side, instead: Mapping[ir.Value, ir.Value]
) -> dict[str, str]:
    """Return whose shapes on one side are looked at, and what has that shape on the other."""
    sources = (n.inputs[0] for n in graph if is_a(n, Is.SHAPE_ONLY) and sides[n.outputs[0]] is _Side.SHAPES)
    return {
        str(v.name): str(instead[v].name)
        for v in sources
        if v is not None and sides[v] is side and v in instead
    }


def _measure(graph: ir.Graph, instead: Mapping[str, str]) -> dict[str, ir.Value]:
    """Let nodes that look at shapes alone look at other values; return all values by name."""
    named = {str(v.name): v for v in (*graph.inputs, *graph.initializers.values())}
    named |= {str(v.name): v for node in graph for v in node.outputs if v.name}
    for node in graph:
        source = node.inputs[0] if node.inputs else None
        if source is not None and str(source.name) in instead and is_a(node, Is.SHAPE_ONLY):
            node.replace_input_with(0, named[instead[str(source.name)]])
    return named


def _front(program: ir.Model, outputs: Collection[str], instead: Mapping[str, str]) -> ir.Model:
    model = program.clone()
    named = _measure(model.graph, instead)
    end_in(model, [named[name] for name in outputs])
    model.graph.sort()
    return model


def _back(program: ir.Model, inputs: Collection[str], instead: Mapping[str, str]) -> ir.Model:
    model = program.clone()
    graph = model.graph
    named, names = _measure(graph, instead), Names(graph)
    for name in inputs:
        old = named[name]
        if old.producer() is None:
            continue
        new = ir.Value(name=name, type=old.type)
        old.name = names.free(f"{name}/made")
        ir.convenience.replace_all_uses_with(old, new)
        graph.inputs.append(new)
    common.RemoveUnusedNodesPass()(model)
    for value in [v for v in graph.inputs if not v.uses() and not v.is_graph_output()]:
        graph.inputs.remove(value)
    for value in (*graph.inputs, *(v for node in graph for v in node.outputs)):
        if value.shape is not None:  # of lengths of one name one may be 1: onnxruntime would share memory
            value.shape = ir.Shape([d if isinstance(d, int) else None for d in value.shape])
    graph.sort()
    return model
