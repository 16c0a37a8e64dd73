"""Bodies of If, Loop and Scan: pasting a copy of one into a graph, and writing a new one."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

__all__ = ["drop_unused", "finish_body", "paste"]


def paste(
    graph: ir.Graph, body: ir.Graph, inputs: Sequence[ir.Value], before: ir.Node | None = None
) -> list[ir.Value]:
    """Copy a body's nodes into a graph.

    Parameters
    ----------
    graph
        Where to write; it must see the outer values that the body uses.
    body
        The body; left unchanged.
    inputs
        What takes the place of the body's inputs.
    before
        Node before which to write (None: at the end).

    Returns
    -------
    list of ir.Value
        What the body's outputs are in the graph.
    """
    outer = [k for k, o in enumerate(body.outputs) if o.graph is not body]
    kept = list(body.outputs)
    if outer:  # the library cannot clone bodies that return a value of the outer graph
        body.outputs[:] = [o for k, o in enumerate(kept) if k not in outer]
    copy = body.clone(allow_outer_scope_values=True)
    if outer:
        body.outputs[:] = kept
    made = iter(list(copy.outputs))
    outputs = [kept[k] if k in outer else next(made) for k in range(len(kept))]
    formal = list(copy.inputs)
    copy.outputs.clear()
    copy.inputs.clear()
    for value in list(copy.initializers.values()):
        copy.initializers.pop(str(value.name))
        while value.name in graph.initializers:
            value.name = f"{value.name}_"
        graph.register_initializer(value)
    nodes = list(copy)
    for node in nodes:
        copy.remove(node)
    if before is None:
        graph.extend(nodes)
    else:
        graph.insert_before(before, nodes)
    replaced = dict(zip(formal, inputs, strict=True))
    for old, new in replaced.items():
        ir.convenience.replace_all_uses_with(old, new)
    return [replaced.get(o, o) for o in outputs]


def finish_body(graph: ir.Graph, outputs: Sequence[ir.Value], name: str) -> ir.Graph:
    """Make values the outputs of a body, each by a node of its own, and drop what is not needed for them."""
    for k, value in enumerate(outputs):
        node = ir.node("Identity", [value], name=f"{name}/out_{k}")
        made = node.outputs[0]
        made.name, made.type = node.name, value.type
        if value.shape is not None:
            made.shape = value.shape.copy()
        graph.append(node)
        graph.outputs.append(made)
    drop_unused(graph)
    return graph


def drop_unused(graph: ir.Graph) -> None:
    """Remove nodes and initializers that nothing uses."""
    for node in reversed(list(graph)):
        if not any(o.uses() or o.is_graph_output() for o in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            graph.initializers.pop(name)
