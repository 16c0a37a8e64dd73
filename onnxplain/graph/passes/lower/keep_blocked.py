"""Keep values between convolutions in onnxruntime's blocks, where our operators stand between them.

onnxruntime's convolutions on the CPU work on channels in blocks: a value of shape (N, C, H, W) lies in memory
as (N, C / b, H, W, b).  Before an operator that it does not know it lays such a value out as it was
(``ReorderOutput``), and behind it blocked again (``ReorderInput``).  Elementwise work has the same result in
any order, so it is done on the blocked values here, and what lays out anew is left out.

Cases: graphs that onnxruntime optimised; our operators that know blocks, float32, four axes.  Of the inputs,
a value that a ReorderOutput made is taken as it was before; a constant must lie alike either way (one number,
or one per channel); all others are blocked by a ReorderInput, where that still leaves fewer of them.

Channels that fill up the last block are zeros, and must stay zeros: convolutions multiply them by zero
weights, which what is not finite would survive.  So where channels may be filled up, only what makes zero of
zeros is moved.

Operators get ``block``: they refuse shapes that do not broadcast in blocks, so nothing rests on shapes
that are declared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.names import Names
from onnxplain.graph.passes.lower.matching import DOMAIN
from onnxplain.graph.passes.lower.sparse_convs import SPARSE
from onnxplain.graph.passes.lower.steps import is_program, of_zeros
from onnxplain.graph.passes.lower.winograd_convs import WINOGRAD

__all__ = ["BLOCKED_DOMAIN", "KeepBlocked", "declare", "take_blocked"]

#: The domain of onnxruntime's operators on blocked values.
BLOCKED_DOMAIN = "com.microsoft.nchwc"

_RANK = 4
_KNOWING = ("Elementwise", "Interleave", "MaxPoolGrad")
_CONVOLUTIONS = (SPARSE, WINOGRAD)
_WHOLE = 4  # ReorderInput takes channels in fours


def declare(graph: ir.Graph) -> None:
    """State what onnxruntime leaves unsaid when it writes a graph.

    Blocked values are float32, of four axes; what our operators make has as many axes as what they take.
    """
    silent = {v for node in graph for v in node.outputs if v.dtype is None}
    for node in graph:
        for value in silent.intersection(node.outputs):
            if node.domain == BLOCKED_DOMAIN or any(v in silent and v.dtype for v in node.inputs):
                value.dtype = ir.DataType.FLOAT
                value.shape = ir.Shape([None] * _RANK)
        if (
            node.domain == DOMAIN
            and node.op_type in (*_KNOWING, *_CONVOLUTIONS)
            and facts.rank(node.outputs[0]) is None
        ):
            ranks = [None if v is None else facts.rank(v) for v in node.inputs]
            if not is_program(node):
                ranks = [_RANK]
            if None not in ranks:
                node.outputs[0].shape = ir.Shape([None] * max(r for r in ranks if r is not None))


def take_blocked(graph: ir.Graph, free: Collection[str]) -> list[str]:
    """Let inputs be given in blocks that nobody reads otherwise; return their names."""
    taken = []
    for value in graph.inputs:
        nodes = {use.node for use in value.uses()}
        if value.name in free and nodes and all(_is_reorder(n, "ReorderInput") for n in nodes):
            for node in nodes:
                ir.convenience.replace_all_uses_with(node.outputs[0], value)
                graph.remove(node, safe=True)
            value.shape = ir.Shape([None] * _RANK)  # channels may be filled up
            taken.append(str(value.name))
    return taken


class KeepBlocked(ir.passes.InPlacePass):
    """Lower a graph that onnxruntime optimised.

    Parameters
    ----------
    block
        Channels in a block.
    free
        Names of inputs that may as well be given in blocks (:func:`take_blocked`).
    """

    def __init__(self, block: int, free: Collection[str] = ()) -> None:
        super().__init__()
        self._block = block
        self._free = frozenset(free)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        if BLOCKED_DOMAIN not in model.opset_imports:
            return ir.passes.PassResult(model, False)
        free = {v for v in model.graph.inputs if v.name in self._free}
        layouts = _Layouts(model.graph, self._block, free)
        modified = False
        for node in list(model.graph):
            modified |= layouts.move(node)
        layouts.clear()
        return ir.passes.PassResult(model, modified)


@dataclass
class _Layouts:
    """Which values are there in blocks, too."""

    graph: ir.Graph
    block: int
    free: Collection[ir.Value]
    blocked: dict[ir.Value, ir.Value] = field(default_factory=dict)
    channels: dict[ir.Value, int] = field(default_factory=dict)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.graph)

    def move(self, node: ir.Node) -> bool:
        """Let a node work in blocks if that is better."""
        if _is_reorder(node, "ReorderOutput"):
            before, after = node.inputs[0], node.outputs[0]
            assert before is not None
            channels = node.attributes.get_int("channels", 0)
            self.blocked[after], self.channels[after] = before, channels
            return False
        if _is_reorder(node, "ReorderInput"):
            return self._skip(node)
        if _is_convolution(node):
            return self._convolve(node)
        if not self._fits(node):
            return False
        given = [v for v in node.inputs if v is not None]
        there = [v for v in given if v in self.blocked]
        held = [v for v in given if v not in self.blocked and self._lies_alike(v)]
        new = [v for v in given if v not in there and v not in held]
        known = {self.channels[v] for v in there if v in self.channels}
        costly = {v for v in new if v not in self.free}
        if len(known) != 1 or len(costly) > self._spared(node, there):
            return False
        channels = known.pop()
        if not all(facts.rank(v) == _RANK and facts.static_dim(v, 1) == channels for v in new):
            return False
        if channels % (_WHOLE if new else 1):
            return False
        if channels % self.block and (held or (is_program(node) and not of_zeros(node))):
            return False
        twins = {v: self.blocked.get(v) or self._reordered(v, node) for v in [*there, *new]}
        self._move(node, twins, channels)
        return True

    def clear(self) -> None:
        """Remove what laid values out that nobody reads any more."""
        for node in reversed(list(self.graph)):
            if not _is_reorder(node, "ReorderOutput", "ReorderInput"):
                continue
            made = node.outputs[0]
            if not made.uses() and not made.is_graph_output():
                self.graph.remove(node, safe=True)

    def _fits(self, node: ir.Node) -> bool:
        known = node.op_type in _KNOWING and node.domain == DOMAIN
        if not known or len(node.outputs) != 1 or "block" in node.attributes:
            return False
        return facts.rank(node.outputs[0]) == _RANK

    def _lies_alike(self, value: ir.Value) -> bool:
        """Whether a constant has at most one number per channel, so that blocks change nothing."""
        shape = facts.static_shape(value) if facts.is_constant(value) else None
        if shape is None or len(shape) > _RANK:
            return False
        _, c, h, w = (1,) * (_RANK - len(shape)) + shape
        return (h, w) == (1, 1) and (c % self.block == 0 or c == 1)

    def _spared(self, node: ir.Node, there: list[ir.Value]) -> int:
        """Count the reorders that would go: behind the node, and before it where nobody else reads them."""
        behind = [use.node for use in node.outputs[0].uses()]
        good = any(_is_reorder(n, "ReorderInput") or self._fits(n) or _is_convolution(n) for n in behind)
        alone = sum(all(use.node is node for use in v.uses()) for v in set(there))
        return int(good) + alone - int(not good)

    def _skip(self, node: ir.Node) -> bool:
        """Leave out a node that blocks what is there in blocks."""
        before, after = node.inputs[0], node.outputs[0]
        assert before is not None
        twin = self.blocked.get(before)
        if twin is None:
            self.blocked[before] = after
            return False
        if after is twin or after.is_graph_output():
            return False
        ir.convenience.replace_all_uses_with(after, twin)
        return True

    def _reordered(self, value: ir.Value, user: ir.Node) -> ir.Value:
        """Block a value before a node."""
        node = ir.node("ReorderInput", [value], {"channels_last": 0}, domain=BLOCKED_DOMAIN)
        self._name(node, self.names.free(f"{value.name}/blocked"), value)
        self.graph.insert_before(user, node)
        self.blocked[value] = node.outputs[0]
        return node.outputs[0]

    def _move(self, node: ir.Node, twins: dict[ir.Value, ir.Value], channels: int) -> None:
        for k, value in enumerate(node.inputs):
            if value in twins:
                node.replace_input_with(k, twins[value])
        node.attributes["block"] = ir.AttrInt64("block", self.block)
        self._made_blocked(node, channels)

    def _convolve(self, node: ir.Node) -> bool:
        """Let a convolution of ours take and give what lies in blocks, where channels fill these."""
        given, made = node.inputs[0], node.outputs[0]
        assert given is not None
        takes = given in self.blocked and self.channels.get(given, 1) % self.block == 0
        if takes:
            node.replace_input_with(0, self.blocked[given])
            node.attributes["block"] = ir.AttrInt64("block", self.block)
        channels = node.attributes["channels"].as_int()
        behind = [use.node for use in made.uses()]
        gives = channels % self.block == 0 and any(
            _is_reorder(n, "ReorderInput") or self._fits(n) for n in behind
        )
        if gives:
            node.attributes["block_out"] = ir.AttrInt64("block_out", self.block)
            self._made_blocked(node, channels)
        return takes or gives

    def _made_blocked(self, node: ir.Node, channels: int) -> None:
        """Lay what a node makes in blocks out as it was, for who needs it so."""
        made = node.outputs[0]
        attrs = {"channels": channels, "channels_last": 0}
        back = ir.node("ReorderOutput", [made], attrs, domain=BLOCKED_DOMAIN)
        plain = back.outputs[0]
        plain.type, plain.shape = made.type, made.shape
        name, made.name = made.name, self.names.free(f"{made.name}/blocked")
        plain.name, back.name = name, self.names.free(f"{name}/as_it_was")
        made.shape = None
        ir.convenience.replace_all_uses_with(made, plain, replace_graph_outputs=True)
        back.replace_input_with(0, made)
        self.graph.insert_after(node, back)
        self.blocked[plain], self.channels[plain] = made, channels

    @staticmethod
    def _name(node: ir.Node, name: str, like: ir.Value) -> None:
        node.name = node.outputs[0].name = name
        node.outputs[0].type = like.type


def _is_convolution(node: ir.Node) -> bool:
    return node.op_type in _CONVOLUTIONS and node.domain == DOMAIN and "block_out" not in node.attributes


def _is_reorder(node: ir.Node, *kinds: str) -> bool:
    return (
        node.domain == BLOCKED_DOMAIN
        and node.op_type in kinds
        and not node.attributes.get_int("channels_last", 0)
    )
