"""Take what a loop only hands on from step to step out of its states.

Keras exports the weights of a recurrent layer as states of a Loop that no step changes.  As values of the
outer graph they are constants again: gradients need not follow them, relevance does not end in them, and they
are not saved at every step.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place

__all__ = ["HoistLoopConstants"]

#: Inputs and outputs of the node, and of the body, that stand before the states.
_BEFORE = {"Loop": (2, 0, 2, 1), "Scan": (0, 0, 0, 0)}


class HoistLoopConstants(NodePass):
    """Let the bodies of Loop and Scan use the outer value in place of such a state."""

    operators = frozenset(_BEFORE)

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Take out the states that are only handed on."""
        return _hoist(graph, node)


def _hoist(graph: ir.Graph, node: ir.Node) -> bool:
    body = node.attributes["body"].as_graph()
    first_in, first_out, body_in, body_out = _BEFORE[node.op_type]
    scanned = node.attributes["num_scan_inputs"].as_int() if node.op_type == "Scan" else 0
    states = len(node.inputs) - first_in - scanned
    kept = [k for k in range(states) if not _is_handed_on(body, body_in + k, body_out + k)]
    if len(kept) == states:
        return False
    gone = [k for k in range(states) if k not in kept]
    for k in gone:
        if node.inputs[first_in + k] is None or node.outputs[first_out + k].is_graph_output():
            return False
        given = body.inputs[body_in + k]
        if any(o is given for j, o in enumerate(body.outputs) if j != body_out + k):
            return False  # returned in another place too
    for k in reversed(gone):
        body.outputs.pop(body_out + k)
    for k in gone:
        start = node.inputs[first_in + k]
        assert start is not None
        ir.convenience.replace_all_uses_with(body.inputs[body_in + k], start)
        ir.convenience.replace_all_uses_with(node.outputs[first_out + k], start)
    for k in reversed(gone):
        body.inputs.pop(body_in + k)
    stay = [k for k in range(len(node.outputs)) if k - first_out not in gone]
    inputs = [v for k, v in enumerate(node.inputs) if k - first_in not in gone]
    attributes = [a for name, a in node.attributes.items() if name != "body"]
    node.attributes.pop("body")
    made = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        [*attributes, ir.AttrGraph("body", body)],
        num_outputs=len(stay),
        name=node.name,
    )
    graph.insert_before(node, made)
    for new, k in zip(made.outputs, stay, strict=True):
        take_place(node.outputs[k], new)
    graph.remove(node, safe=True)
    return True


def _is_handed_on(body: ir.Graph, into: int, out: int) -> bool:
    """Tell whether a body returns one of its inputs as it is."""
    value: ir.Value | None = body.outputs[out]
    while value is not None and value is not body.inputs[into]:
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type == "Identity" else None
    return value is not None
