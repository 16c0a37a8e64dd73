"""Prefixes of names that are free in a whole file: bodies share the names of what is around them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

__all__ = ["free_scope", "graphs_of"]


def graphs_of(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield the graph of a model, and the bodies in it."""
    yield model.graph
    for graph in model.graph.subgraphs():
        if isinstance(graph, ir.Graph):
            yield graph


def free_scope(model: ir.Model, what: str) -> str:
    """Return a prefix that no name in the model has, ``onnxplain/<what>`` or one like it."""
    taken = set()
    for graph in graphs_of(model):
        values = [*graph.inputs, *graph.initializers.values(), *(o for n in graph for o in n.outputs)]
        taken |= {str(v.name) for v in values} | {str(n.name) for n in graph}
    scope = f"onnxplain/{what}"
    while any(name.startswith(f"{scope}/") for name in taken):
        scope += "_"
    return scope
