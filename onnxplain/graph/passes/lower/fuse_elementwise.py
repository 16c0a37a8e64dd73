"""Write several elementwise nodes as one of our own operators, ``ai.onnxplain::Elementwise``.

Cases: nodes that a walk back wrote (never the model's own), all of float32 or all of float16 (then
``ElementwiseFloat16``, which rounds the result alone), whose steps are exact or correctly rounded.  A group
is a node and all whose results are read within the group alone, so that one value comes out of it.
Elementwise steps commute with broadcasting, so the group may be computed at the shape to which all that
enters it broadcasts, whatever shapes lie between: no declared shape is trusted.  Comparisons are cheap, so
groups have copies of those that others read too.

Masks that were written as steep hard sigmoids are comparisons again where they are in a group.  Rectified
values (of the model's own nodes, too) are computed once more where a group reads what they are made of.

Left as they are: groups of one step; on the CPU groups that onnxruntime runs on the blocked values between
convolutions as they are (sums, products and such masks); on a GPU groups larger than a kernel's parameters.
In a graph that onnxruntime has optimised none of these is left, but single steps on blocked values, and what
was one operator already joins others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.bounded import bounds
from onnxplain.graph.passes.lower.keep_blocked import BLOCKED_DOMAIN
from onnxplain.graph.passes.lower.matching import DOMAIN
from onnxplain.graph.passes.lower.steps import KINDS, VARIADIC, Program, is_mask, is_program

__all__ = ["FuseElementwise"]

_COMPARISONS = frozenset({"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"})
_BLOCKED = frozenset({"Add", "Sum", "Mul"})
_OPERATORS = {ir.DataType.FLOAT: "Elementwise", ir.DataType.FLOAT16: "ElementwiseFloat16"}
_RANK = 4


class FuseElementwise(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded.

    Parameters
    ----------
    device
        Where the program runs.
    optimised
        Whether onnxruntime has optimised the graph, which nobody but it will see: then all nodes are written
        anew, also the model's own, of float32.
    """

    def __init__(self, device: Literal["cpu", "cuda"] = "cpu", *, optimised: bool = False) -> None:
        super().__init__()
        self._device = device
        self._optimised = optimised
        self._kinds = (ir.DataType.FLOAT,) if optimised else tuple(_OPERATORS)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        taken: set[ir.Node] = set()
        modified = False
        if self._optimised:
            for node in model.graph:
                node.metadata_props[facts.WRITTEN_KEY] = ""
        for root in reversed(list(model.graph)):
            kind = root.outputs[0].dtype
            if kind is None or kind not in self._kinds or root in taken or not _fits(root, kind):
                continue
            group = _group(root, taken, kind)
            if self._stays(root, group):
                continue
            order = [n for n in model.graph if n in group]
            program = Program(order)
            if self._device == "cuda" and not program.is_small:
                continue
            _replace(model.graph, root, order, program, _OPERATORS[kind])
            taken |= group
            modified = True
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
        return ir.passes.PassResult(model, modified)

    def _stays(self, root: ir.Node, group: set[ir.Node]) -> bool:
        """Whether there is no group, or onnxruntime runs it well as it is."""
        if not group:
            return True
        spatial = facts.rank(root.outputs[0]) in (None, _RANK)
        if self._optimised:
            return len(group) < 2 and (not spatial or is_program(root) or _lies_blocked(root))
        blocked = all(n.op_type in _BLOCKED or is_mask(n) for n in group)
        return len(group) < 2 or (self._device == "cpu" and blocked and spatial)


def _lies_blocked(node: ir.Node) -> bool:
    """Whether onnxruntime has a node work on blocked values already."""
    makers = [None if v is None else v.producer() for v in node.inputs]
    return all(m is not None and m.domain == BLOCKED_DOMAIN and m.op_type != "ReorderOutput" for m in makers)


def _fits(node: ir.Node, kind: ir.DataType) -> bool:
    """Whether a node may be a step among numbers of this kind."""
    if not facts.is_written(node) or len(node.outputs) != 1:
        return False
    if is_program(node):
        return kind == ir.DataType.FLOAT
    if node.domain not in ("", "ai.onnx"):
        return False
    others = is_mask(node) or node.op_type in VARIADIC or bounds(node.outputs[0]) is not None
    if node.op_type not in KINDS and not others:
        return False
    if node.op_type in VARIADIC and len(node.inputs) == 1:  # nothing is done
        return False
    known = (kind, ir.DataType.BOOL)
    return all(v is None or v.dtype in known for v in (*node.inputs, *node.outputs))


def _inside(node: ir.Node, group: set[ir.Node]) -> bool:
    """Whether nothing but the group reads a node's result, and no node of which the group has a copy."""
    made = node.outputs[0]
    if made.is_graph_output():
        return False
    users = {use.node for use in made.uses()}
    return users <= group and all(_inside(user, group) for user in users if _is_cheap(user))


def _group(root: ir.Node, taken: set[ir.Node], kind: ir.DataType) -> set[ir.Node]:
    """Return the root and what only it needs."""
    group = {root}
    while True:
        makers = {v.producer() for node in group for v in node.inputs if v is not None}
        found = {m for m in makers if m is not None and m not in group | taken and _fits(m, kind)}
        found = {m for m in found if _is_cheap(m) or _inside(m, group)}
        if not found:
            return _closed(root, group)
        group |= found


def _closed(root: ir.Node, group: set[ir.Node]) -> set[ir.Node]:
    """Leave out what takes truth values from outside, and then what only that needed."""
    while True:
        unfit = {node for node in group if not _belongs(node, root, group)}
        if root in unfit:
            return set()
        if not unfit:
            return group
        group = group - unfit


def _belongs(node: ir.Node, root: ir.Node, group: set[ir.Node]) -> bool:
    """Whether a node takes numbers alone from outside, and only the group needs it (or a copy of it)."""
    outer = (v for v in node.inputs if v is not None and v.producer() not in group)
    if any(v.dtype == ir.DataType.BOOL for v in outer):
        return False
    if node is root or _inside(node, group):
        return True
    return _is_cheap(node) and any(use.node in group for use in node.outputs[0].uses())


def _is_cheap(node: ir.Node) -> bool:
    """Whether a node may be computed once more where others read it, too."""
    return node.op_type in _COMPARISONS or is_mask(node)


def _replace(
    graph: ir.Graph, root: ir.Node, order: Sequence[ir.Node], program: Program, operator: str
) -> None:
    """Put one node in the place of a group; what others read stays for them."""
    group = set(order)
    gone = [n for n in reversed(order) if n is not root and _inside(n, group)]
    attributes: dict[str, int | Sequence[int] | Sequence[float]] = {
        "program": program.encoded,
        "constants": program.constants,
    }
    blocks = {n.attributes["block"].as_int() for n in order if "block" in n.attributes}
    if blocks:
        (attributes["block"],) = blocks
    fused = ir.node(operator, program.inputs, attributes, domain=DOMAIN, name=root.name)
    new, old = fused.outputs[0], root.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    fused.metadata_props[facts.WRITTEN_KEY] = ""
    ir.convenience.replace_nodes_and_values(graph, root, [root], [fused], [old], [new])
    for node in gone:
        graph.remove(node, safe=True)
