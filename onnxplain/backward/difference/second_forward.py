"""A second copy of a forward pass, in the same graph; If, Loop and Scan run once, for both copies.

A node with bodies is rebuilt so that its bodies hold both copies: states, slices and results come twice, and
captured values that differ are captured twice.  Conditions and numbers of iterations are the first copy's.
The nodes of both copies carry marks, by which they find each other again after a body is copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import used_values
from onnxplain.backward.subgraph import inside, paste_known
from onnxplain.graph import facts
from onnxplain.graph.inline import finish_body
from onnxplain.graph.patterns.measured import compared_ranges
from onnxplain.graph.traits import Is, is_a

__all__ = ["copy_forward", "is_boundary", "marked_pairs"]

#: Which of the two a node is; its mark is a name that both share, and this.
_SIDES = ("input", "reference")


def copy_forward(
    op: Emitter, pairs: dict[ir.Value, ir.Value], *, mark: bool = False, alone: bool = False
) -> dict[ir.Value, ir.Value]:
    """Write a copy of every node that depends on the keys of ``pairs``, and add what it makes to ``pairs``.

    Parameters
    ----------
    op
        Writes into the graph.
    pairs
        By value: what takes its place in the copy.
    mark
        Whether to mark nodes and copies.
    alone
        Whether gradients are taken in the copy, apart from the first: in units that it measures itself, and
        by the marks that say how its nodes are differentiated.

    Returns
    -------
    dict
        By output of a node with bodies that was rebuilt: the value that took its place.
    """
    replaced: dict[ir.Value, ir.Value] = {}
    held = {} if alone else compared_ranges(op.graph)
    scales = {r.scale: r for r in held.values()}
    theirs: dict[ir.Value, ir.Value] = {}
    for node in list(op.graph):
        if is_a(node, Is.SHAPE_ONLY) or any(o in pairs for o in node.outputs):  # both copies have the same
            continue
        if not any(v in pairs for v in used_values(node)):
            continue
        if any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values()):
            replaced.update(_rebuild(op, node, pairs))
            continue
        known = {**theirs, **pairs} if node in held else pairs
        made = op.clone(node, [None if v is None else known.get(v, v) for v in node.inputs])
        if node.outputs[0] in scales:  # what it multiplies is brought into the units of the first copy
            theirs[node.outputs[0]] = made[0]
            continue
        if node in held and node in held[node].centred:
            scale = held[node].scale
            made = (op.annotate(op.Mul(made[0], op.Div(theirs[scale], scale)), node.outputs[0]),)
        pairs.update(zip(node.outputs, made, strict=True))
        copy = made[0].producer()
        if mark and copy is not None:
            _mark(op, node, copy)
        if alone and copy is not None and facts.GRADIENT_KEY in node.metadata_props:
            copy.metadata_props[facts.GRADIENT_KEY] = node.metadata_props[facts.GRADIENT_KEY]
    if replaced:
        op.graph.sort()
    return replaced


def marked_pairs(graph: ir.Graph) -> dict[ir.Value, ir.Value]:
    """Find what the values of a body's first copy are in the second, by the marks of their nodes."""
    sides: dict[str, dict[str, ir.Node]] = {}
    for node in graph:
        mark = node.metadata_props.get(facts.TWIN_KEY)
        if mark is not None:
            name, _, side = mark.rpartition("/")
            sides.setdefault(name, {})[side] = node
    found: dict[ir.Value, ir.Value] = {}
    for pair in sides.values():
        if len(pair) == 2:
            first, second = (pair[side].outputs for side in _SIDES)
            found.update(zip(first, second, strict=True))
    return found


def is_boundary(node: ir.Node) -> bool:
    """Tell whether a node stands where values go into a body, or come out of one."""
    return node.op_type == "Identity" and facts.TWIN_KEY in node.metadata_props


def _mark(op: Emitter, node: ir.Node, copy: ir.Node) -> None:
    name = op.fresh("twin")
    for one, side in zip((node, copy), _SIDES, strict=True):
        one.metadata_props[facts.TWIN_KEY] = f"{name}/{side}"


def _boundary(op: Emitter, value: ir.Value, copy: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Hand two values on, marked as a pair; no gradient goes to the copy."""
    made = [op.annotate(op.Identity(v, _fold=False), value) for v in (value, copy)]
    for one, source in zip(made, (value, copy), strict=True):
        one.type = source.type
    nodes = [one.producer() for one in made]
    assert nodes[0] is not None
    assert nodes[1] is not None
    _mark(op, nodes[0], nodes[1])
    nodes[1].metadata_props[facts.GRADIENT_KEY] = "stop"
    return made[0], made[1]


def _rebuild(op: Emitter, node: ir.Node, pairs: dict[ir.Value, ir.Value]) -> dict[ir.Value, ir.Value]:
    """Put a node in the place of one with bodies that computes both copies."""
    attrs: dict[str, Any] = {name: a.value for name, a in node.attributes.items()}
    inputs = list(node.inputs)
    states = 0
    if node.op_type == "Loop":
        states = len(inputs) - 2
        attrs["body"] = _double(
            op, node.attributes["body"].as_graph(), pairs, range(2, 2 + states), 1, states
        )
        inputs = [*inputs, *_others(inputs[2:], pairs)]
    elif node.op_type == "Scan":
        scanned = int(attrs["num_scan_inputs"])
        states = len(inputs) - scanned
        varied = [k for k in range(states, len(inputs)) if inputs[k] in pairs]
        attrs["body"] = _double(
            op, node.attributes["body"].as_graph(), pairs, [*range(states), *varied], 0, states, split=states
        )
        attrs["num_scan_inputs"] = scanned + len(varied)
        for name in ("scan_input_axes", "scan_input_directions"):
            if name in attrs:
                attrs[name] = [*attrs[name], *(attrs[name][k - states] for k in varied)]
        for name in ("scan_output_axes", "scan_output_directions"):
            if name in attrs:
                attrs[name] = [*attrs[name]] * 2
        inputs = [
            *inputs[:states],
            *_others(inputs[:states], pairs),
            *inputs[states:],
            *_others([inputs[k] for k in varied], pairs),
        ]
    else:
        for name in ("then_branch", "else_branch"):
            attrs[name] = _double(op, node.attributes[name].as_graph(), pairs, (), 0, 0)
    chosen = _at_its_own_choice(op, node, pairs) if node.op_type == "If" else {}
    made = op.emit(node.op_type, inputs, {**attrs, "_outputs": 2 * len(node.outputs)})
    assert isinstance(made, tuple)
    n = len(node.outputs)
    here = [*made[:states], *made[2 * states : states + n]]
    there = [*made[states : 2 * states], *made[states + n :]]
    replaced = {}
    for old, a, b in zip(node.outputs, here, there, strict=True):
        for value in (a, b):
            value.type = old.type
            op.annotate(value, old)
        new, pairs[new] = _boundary(op, a, b)
        if old in chosen:
            new = _switch(op, new, node.inputs[0], chosen[old], pairs)
        label, old.name = old.name, None
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        new.name = label
        replaced[old] = new
    for inner in _inner_nodes(node):
        for k in range(len(inner.inputs)):
            inner.replace_input_with(k, None)
    op.graph.remove(node, safe=True)
    return replaced


def _at_its_own_choice(
    op: Emitter, node: ir.Node, pairs: dict[ir.Value, ir.Value]
) -> dict[ir.Value, ir.Value]:
    """Return what the float outputs of an If are at the reference, where its condition may differ there."""
    condition = node.inputs[0]
    if condition not in pairs:
        return {}
    attrs: dict[str, Any] = {}
    for name in ("then_branch", "else_branch"):
        inner = inside(op, "reference")
        outputs = paste_known(inner, node.attributes[name].as_graph(), [])
        _redirect(inner.graph, pairs)
        attrs[name] = finish_body(inner.graph, [pairs.get(o, o) for o in outputs], inner.scope)
    made = op.emit("If", [pairs[condition]], {**attrs, "_outputs": len(node.outputs)})
    values = made if isinstance(made, tuple) else (made,)
    found = {}
    for old, value in zip(node.outputs, values, strict=True):
        value.type = old.type
        op.annotate(value, old)
        if facts.is_float(old):
            found[old] = value
    return found


def _switch(
    op: Emitter, value: ir.Value, condition: ir.Value | None, there: ir.Value, pairs: dict[ir.Value, ir.Value]
) -> ir.Value:
    """Hand on an output of an If whose condition may differ at the reference, where it is another value."""
    assert condition is not None  # an If has one
    made = [
        op.annotate(op.Where(c, v, v, _fold=False), value)
        for c, v in ((condition, value), (pairs[condition], there))
    ]
    nodes = [m.producer() for m in made]
    assert nodes[0] is not None
    assert nodes[1] is not None
    _mark(op, nodes[0], nodes[1])
    nodes[0].metadata_props[facts.GRADIENT_KEY] = "switch"
    pairs[made[0]] = made[1]
    return made[0]


def _others(values: Sequence[ir.Value | None], pairs: dict[ir.Value, ir.Value]) -> list[ir.Value | None]:
    return [None if v is None else pairs.get(v, v) for v in values]


def _double(
    op: Emitter,
    body: ir.Graph,
    pairs: dict[ir.Value, ir.Value],
    twice: Sequence[int],
    single: int,
    states: int,
    split: int | None = None,
) -> ir.Graph:
    """Return a body that holds both copies.

    Parameters
    ----------
    op
        Of the outer graph.
    body
        The body; left unchanged.
    pairs
        Of the outer graph.
    twice
        Positions of the inputs that come twice.
    single
        Number of first results that come once (the condition of a Loop).
    states
        Number of results after these that are states: both copies of them come before the others.
    split
        Position before which the copies of inputs stand together (None: copies come after all inputs).
    """
    inner = inside(op, "both")
    formals, copies = [], []
    for k, old in enumerate(body.inputs):
        formals.append(_formal(inner, f"in_{k}", old))
        copies.append(_formal(inner, f"other_{k}", old) if k in twice else None)
    cut = len(formals) if split is None else split
    for part in (slice(0, cut), slice(cut, None)):
        inner.graph.inputs.extend(formals[part])
        inner.graph.inputs.extend(v for v in copies[part] if v is not None)
    mine: dict[ir.Value, ir.Value] = {}
    starts = []
    for formal, copy in zip(formals, copies, strict=True):
        start = formal
        if copy is not None:
            start, mine[start] = _boundary(inner, formal, copy)
        starts.append(start)
    captured: dict[ir.Value, ir.Value] = {}
    for value in dict.fromkeys([*(v for n in body for v in used_values(n)), *body.outputs]):
        if value in pairs:
            held, mine[held] = _boundary(inner, value, pairs[value])
            captured[value] = held
    edge = set(inner.graph)
    outputs = paste_known(inner, body, starts)
    _redirect(inner.graph, captured, edge)
    outputs = [captured.get(o, o) for o in outputs]
    replaced = copy_forward(inner, mine, mark=True)
    outputs = [replaced.get(o, o) for o in outputs]
    there = [mine.get(o, o) for o in outputs]
    first = single + states
    results = [*outputs[:first], *there[single:first], *outputs[first:], *there[first:]]
    return finish_body(inner.graph, results, inner.scope)


def _redirect(body: ir.Graph, instead: Mapping[ir.Value, ir.Value], edge: Collection[ir.Node] = ()) -> None:
    """Let the nodes of a body, but those at its edge, and of all bodies in it use other values."""
    for node in body.all_nodes():
        if node not in edge:
            for k, used in enumerate(node.inputs):
                if used is not None and used in instead:
                    node.replace_input_with(k, instead[used])
    for graph in body.subgraphs():
        for k, result in enumerate(graph.outputs):
            if result in instead:
                graph.outputs[k] = instead[result]


def _formal(op: Emitter, name: str, like: ir.Value) -> ir.Value:
    shape = None if like.shape is None else like.shape.copy()
    return ir.Value(name=f"{op.scope}/{name}", type=like.type, shape=shape)


def _inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().all_nodes()
