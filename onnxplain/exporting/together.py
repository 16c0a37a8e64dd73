"""Several methods' graphs as one: what they have in common is there once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.graph.names import Names

__all__ = ["join", "tidy"]


def join(models: Mapping[str, ir.Model]) -> ir.Model:
    """Return one graph with the inputs and outputs of all.

    Inputs of the same name are one input; outputs of the same name are those of the first.  Nodes that do the
    same to the same (the forward pass of methods that walk back, the way to an embedding) are one node; what
    lies in loops stays as it is.

    Parameters
    ----------
    models
        By label; they are used up.
    """
    (_, first), *others = models.items()
    for label, model in others:
        names = Names(*_graphs(first.graph), *_graphs(model.graph))
        _add(first.graph, model.graph, names.scope(label))
    common.DeduplicateHashedInitializersPass()(first)
    common.CommonSubexpressionEliminationPass()(first)
    common.RemoveUnusedNodesPass()(first)
    return first


def _add(graph: ir.Graph, other: ir.Graph, scope: str) -> None:
    """Move another graph's nodes into a graph, where their names begin with a scope."""
    there = {v.name: v for v in graph.inputs}
    given = {v.name for v in graph.outputs}
    outputs = [v for v in other.outputs if v.name not in given]
    kept = {id(v) for v in outputs}
    inputs = list(other.inputs)
    other.outputs.clear()
    other.inputs.clear()
    for value in inputs:
        if value.name in there:
            value.replace_all_uses_with(there[value.name])
        else:
            graph.inputs.append(value)
            kept.add(id(value))
    for part in _graphs(other):
        for name in list(part.initializers):
            value = part.initializers.pop(name)
            value.name = f"{scope}/{name}"
            (graph if part is other else part).register_initializer(value)
        for value in [*part.inputs, *(o for n in part for o in n.outputs)]:
            if id(value) not in kept and value.name:
                value.name = f"{scope}/{value.name}"
        for node in part:
            node.name = f"{scope}/{node.name}"
    nodes = list(other)
    other.remove(nodes)
    graph.extend(nodes)
    graph.outputs.extend(outputs)
    graph.opset_imports.update({k: v for k, v in other.opset_imports.items() if k not in graph.opset_imports})


def tidy(model: ir.Model) -> None:
    """Drop what nobody uses, in loops too: runtimes warn of it."""
    common.RemoveUnusedNodesPass()(model)
    for graph in _graphs(model.graph):
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield a graph and those inside its nodes."""
    yield graph
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                yield from _graphs(attribute.as_graph())
            elif attribute.type == ir.AttributeType.GRAPHS:
                for own in attribute.as_graphs():
                    yield from _graphs(own)
