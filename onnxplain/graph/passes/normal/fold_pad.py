"""Fold zero padding into the convolution that follows.

Exporters write "same" padding as a Pad of its own.  As pads of the convolution it costs no copy, and
relevance rules that count inputs (flat, z^B) count no zeros among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.movers import axis_behind
from onnxplain.graph.passes.node_pass import NodePass

__all__ = ["FoldPad"]


class FoldPad(NodePass):
    """Add the amounts of a Pad with zeros, along image axes, to the pads of every Conv that reads it.

    Parameters
    ----------
    behind_movers
        Fold also where Squeeze, Unsqueeze, Transpose and Reshape stand between (Conv1D of Keras: Pad,
        Unsqueeze, Conv).  What these make is not padded then, and gets other names.
    """

    operators = frozenset({"Pad"})

    def __init__(self, behind_movers: bool = False) -> None:
        super().__init__()
        self.behind_movers = behind_movers

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Move its amounts into what reads it."""
        chain = _chain(node) if self.behind_movers else None
        if chain is None:
            return _fold(graph, node)
        return _fold_behind(
            Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/folded"), node, *chain
        )


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    x, output, amounts = node.inputs[0], node.outputs[0], _image(_amounts(node))
    users = [use.node for use in output.uses()]
    if x is None or amounts is None or not users or output.is_graph_output():
        return False
    if not all(_takes(user, output) for user in users):
        return False
    for conv in dict.fromkeys(users):
        _pad_more(conv, amounts)
        conv.replace_input_with(0, x)
    graph.remove(node, safe=True)
    return True


def _image(amounts: Array | None) -> Array | None:
    """Return the zeros before each image axis, then those behind; None if there are others."""
    if amounts is None or amounts.shape[1] < 3 or amounts[:, :2].any():
        return None
    return np.asarray(amounts[:, 2:].ravel())


def _pad_more(conv: ir.Node, amounts: Array) -> None:
    old = facts.attr(conv, "pads", None)
    pads = amounts if old is None or _mode(conv) == "VALID" else amounts + np.asarray(old)
    conv.attributes.pop("auto_pad", None)
    conv.attributes["pads"] = ir.AttrInt64s("pads", [int(p) for p in pads])


@dataclass(frozen=True)
class _Step:
    """A mover behind a Pad, and where each of the axes that are padded is in its output."""

    node: ir.Node
    places: dict[int, int]


def _chain(pad: ir.Node) -> tuple[list[_Step], ir.Node, Array] | None:
    """Return the movers between a Pad and the only Conv that reads it, the Conv, and its further pads."""
    amounts = _amounts(pad)
    if amounts is None:
        return None
    places = {int(axis): int(axis) for axis in np.flatnonzero(amounts.any(0))}
    value, steps = pad.outputs[0], []
    while True:
        uses = list(value.uses())
        if (
            len(uses) != 1
            or uses[0].idx != 0
            or value.is_graph_output()
            or uses[0].node.graph is not pad.graph
        ):
            return None
        node = uses[0].node
        if _takes(node, value):
            break
        moved = {k: axis_behind(node, axis) for k, axis in places.items()}
        places = {k: axis for k, axis in moved.items() if axis is not None}
        if len(places) < len(moved):
            return None
        steps.append(_Step(node, places))
        value = node.outputs[0]
    rank = facts.rank(value)
    if not steps or rank is None:
        return None
    wide = np.zeros((2, rank), np.int64)
    for k, axis in places.items():
        wide[:, axis] = amounts[:, k]
    pads = _image(wide)
    return None if pads is None else (steps, node, pads)


def _fold_behind(op: Ops, pad: ir.Node, steps: list[_Step], conv: ir.Node, pads: Array) -> bool:
    x, amounts = pad.inputs[0], _amounts(pad)
    assert x is not None
    assert amounts is not None
    inner = facts.dims(x)
    assert inner is not None
    for step in steps:
        output, target = step.node.outputs[0], None
        dims = list(facts.dims(output) or ())
        if step.node.op_type == "Reshape":
            found = facts.constant(step.node.inputs[1])
            assert found is not None
            target = found.copy()
        for k, axis in step.places.items():
            dims[axis] = inner[k]
            if target is not None and target[axis] > 0:
                target[axis] -= amounts[:, k].sum()
        if target is not None:
            step.node.replace_input_with(1, op.initializer(target))
        output.name = op.fresh("moved")  # it is no longer what its name says
        output.shape = ir.Shape(dims)
    _pad_more(conv, pads)
    steps[0].node.replace_input_with(0, x)
    op.graph.remove(pad, safe=True)
    return True


def _mode(conv: ir.Node) -> str:
    return str(facts.attr(conv, "auto_pad", "NOTSET"))


def _takes(user: ir.Node, value: ir.Value) -> bool:
    if user.op_type != "Conv" or user.domain not in ("", "ai.onnx") or _mode(user) not in ("NOTSET", "VALID"):
        return False
    return user.inputs[0] is value and value not in user.inputs[1:]


def _amounts(node: ir.Node) -> Array | None:
    """Return the zeros before each axis, and behind it, as (2, rank); None if it pads otherwise."""
    inputs = [*node.inputs, None, None, None][:4]
    x, pads, fill = inputs[0], facts.constant(inputs[1]), facts.constant(inputs[2])
    rank = None if x is None else facts.rank(x)
    if rank is None or pads is None or facts.attr(node, "mode", "constant") != "constant":
        return None
    if inputs[2] is not None and (fill is None or fill.any()):
        return None
    axes = facts.constant(inputs[3])
    if inputs[3] is not None and axes is None:
        return None
    positions = range(rank) if axes is None else [int(a) % rank for a in axes.ravel()]
    both = np.zeros((2, rank), np.int64)
    both[:, list(positions)] = pads.reshape(2, -1)
    return None if (both < 0).any() else both
