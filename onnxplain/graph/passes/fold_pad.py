"""Fold zero padding into the convolution that follows.

Exporters write "same" padding as a Pad of its own.  As pads of the convolution it costs no copy, and
relevance rules that count inputs (flat, z^B) count no zeros among them.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.node_pass import NodePass

__all__ = ["FoldPad"]


class FoldPad(NodePass):
    """Add the amounts of a Pad with zeros, along image axes, to the pads of every Conv that reads it."""

    operators = frozenset({"Pad"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Move its amounts into what reads it."""
        return _fold(graph, node)


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    amounts = _amounts(node)
    users = [use.node for use in output.uses()]
    if x is None or amounts is None or not users or output.is_graph_output():
        return False
    if not all(_takes(user, output) for user in users):
        return False
    for conv in dict.fromkeys(users):
        old = facts.attr(conv, "pads", None)
        pads = amounts if old is None or _mode(conv) == "VALID" else amounts + np.asarray(old)
        conv.attributes.pop("auto_pad", None)
        conv.attributes["pads"] = ir.AttrInt64s("pads", [int(p) for p in pads])
        conv.replace_input_with(0, x)
    graph.remove(node, safe=True)
    return True


def _mode(conv: ir.Node) -> str:
    return str(facts.attr(conv, "auto_pad", "NOTSET"))


def _takes(user: ir.Node, value: ir.Value) -> bool:
    if user.op_type != "Conv" or user.domain not in ("", "ai.onnx") or _mode(user) not in ("NOTSET", "VALID"):
        return False
    return user.inputs[0] is value and value not in user.inputs[1:]


def _amounts(node: ir.Node) -> np.ndarray | None:
    """Return the zeros before each image axis, then those behind; None if it pads otherwise."""
    inputs = [*node.inputs, None, None, None][:4]
    x, pads, fill = inputs[0], facts.constant(inputs[1]), facts.constant(inputs[2])
    rank = None if x is None else facts.rank(x)
    if rank is None or rank < 3 or pads is None or facts.attr(node, "mode", "constant") != "constant":
        return None
    if inputs[2] is not None and (fill is None or fill.any()):
        return None
    axes = facts.constant(inputs[3])
    if inputs[3] is not None and axes is None:
        return None
    positions = range(rank) if axes is None else [int(a) % rank for a in axes.ravel()]
    both = np.zeros((2, rank), np.int64)
    both[:, list(positions)] = pads.reshape(2, -1)
    if (both < 0).any() or both[:, :2].any():
        return None
    amounts: np.ndarray = both[:, 2:].ravel()
    return amounts
