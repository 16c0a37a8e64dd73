"""Which values of a model as it was read went up in others, so that who names one is told where it is."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["Ways", "gone", "ways"]

#: By name, from the last to the first: what nodes and values lead to.
Ways = dict[str, str]


def ways(graph: ir.Graph) -> Ways:
    """Return the value that stands behind each value, or is made by each node of another name."""
    found: Ways = {}
    for node in reversed(graph):
        made = str(node.outputs[0].name) if node.outputs else ""
        for value in node.outputs:
            following = next((n for n, _ in value.uses() if n.graph is graph and n.outputs), None)
            found[str(value.name)] = str(following.outputs[0].name) if following else ""
        if node.name and made:
            found.setdefault(node.name, made)
    return found


def gone(before: Ways, graph: ir.Graph) -> dict[str, str]:
    """Return the names that are gone by now, and the nearest value behind each that is still there.

    Parameters
    ----------
    before
        :func:`ways` of the graph as it was.
    graph
        The graph as it is.
    """
    there = {v.name for node in graph for v in node.outputs} | {node.name for node in graph}
    there |= {v.name for v in (*graph.inputs, *graph.initializers.values())}
    ends: dict[str, str] = {}
    for name, behind in before.items():  # what stands behind comes first
        ends[name] = behind if behind in there else ends.get(behind, "")
    return {name: end for name, end in ends.items() if name not in there and end}
