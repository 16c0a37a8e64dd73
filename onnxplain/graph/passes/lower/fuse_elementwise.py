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
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.bounded import Bounds, bounds
from onnxplain.graph.passes.lower.mask_by_hard_sigmoid import STEEP
from onnxplain.graph.passes.lower.matching import DOMAIN

__all__ = ["KINDS", "FuseElementwise"]

#: What a step does, as ``csrc/kernels/elementwise.hpp`` numbers it.
KINDS = {
    kind: number
    for number, kind in enumerate(
        "Add Sub Mul Div Neg Abs Sqrt Reciprocal Max Min "
        "Greater Less GreaterOrEqual LessOrEqual Equal Not And Or Where".split()
    )
}
_COMPARISONS = frozenset({"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"})
_VARIADIC = {"Sum": "Add", "Max": "Max", "Min": "Min"}
_BLOCKED = frozenset({"Add", "Sum", "Mul"})
_RANK = 4
_MOST_OPERANDS = 3
_OPERATORS = {ir.DataType.FLOAT: "Elementwise", ir.DataType.FLOAT16: "ElementwiseFloat16"}
#: What fits a kernel's parameters in any case (csrc/kernels/elementwise_threads.hpp).
_MOST_INPUTS, _MOST_CONSTANTS, _MOST_STEPS = 16, 64, 96


class FuseElementwise(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded.

    Parameters
    ----------
    device
        Where the program runs.
    """

    def __init__(self, device: Literal["cpu", "cuda"] = "cpu") -> None:
        self.device = device

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        taken: set[ir.Node] = set()
        modified = False
        for root in reversed(list(model.graph)):
            kind = root.outputs[0].dtype
            if root in taken or kind not in _OPERATORS or not _fits(root, kind):
                continue
            group = _group(root, taken, kind)
            if len(group) < 2 or (self.device == "cpu" and _stays(root, group)):
                continue
            order = [n for n in model.graph if n in group]
            program = _Program(order)
            if self.device == "cuda" and not program.is_small:
                continue
            _replace(model.graph, root, order, program, _OPERATORS[kind])
            taken |= group
            modified = True
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
        return ir.passes.PassResult(model, modified)


def _fits(node: ir.Node, kind: ir.DataType) -> bool:
    """Whether a node may be a step among numbers of this kind."""
    if not facts.is_written(node) or node.domain not in ("", "ai.onnx") or len(node.outputs) != 1:
        return False
    if node.op_type not in KINDS and node.op_type not in _VARIADIC and not _is_mask(node):
        return False
    if node.op_type in _VARIADIC and len(node.inputs) == 1:  # nothing is done
        return False
    known = (kind, ir.DataType.BOOL)
    return all(v is not None and v.dtype in known for v in (*node.inputs, *node.outputs))


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


def _stays(root: ir.Node, group: set[ir.Node]) -> bool:
    """Whether onnxruntime runs the group well as it is."""
    blocked = all(n.op_type in _BLOCKED or _is_mask(n) for n in group)
    return blocked and facts.rank(root.outputs[0]) in (None, _RANK)


def _is_mask(node: ir.Node) -> bool:
    """Whether a node is a comparison that was written as a steep hard sigmoid."""
    slope = facts.attr(node, "alpha", 0.2)
    return node.op_type == "HardSigmoid" and isinstance(slope, float) and abs(slope) >= STEEP


def _is_cheap(node: ir.Node) -> bool:
    """Whether a node may be computed once more where others read it, too."""
    return node.op_type in _COMPARISONS or _is_mask(node)


def _replace(
    graph: ir.Graph, root: ir.Node, order: Sequence[ir.Node], program: _Program, operator: str
) -> None:
    """Put one node in the place of a group; what others read stays for them."""
    group = set(order)
    gone = [n for n in reversed(order) if n is not root and _inside(n, group)]
    attributes: dict[str, Sequence[int] | Sequence[float]] = {
        "program": program.encoded,
        "constants": program.constants,
    }
    fused = ir.node(operator, program.inputs, attributes, domain=DOMAIN, name=root.name)
    new, old = fused.outputs[0], root.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    fused.metadata_props[facts.WRITTEN_KEY] = ""
    ir.convenience.replace_nodes_and_values(graph, root, [root], [fused], [old], [new])
    for node in gone:
        graph.remove(node, safe=True)


class _Program:
    """Nodes in order as the steps of one operator.

    Constant numbers are held by the operator, unless they give the result axes that no tensor gives it.
    """

    def __init__(self, order: Sequence[ir.Node]) -> None:
        made = {n.outputs[0] for n in order}
        entering = dict.fromkeys(v for n in order for v in n.inputs if v is not None and v not in made)
        ranks = [facts.rank(v) or 0 for v in entering if not _is_number(v)]
        held = [v for v in entering if ranks and _is_number(v) and (facts.rank(v) or 0) <= max(ranks)]
        remade: dict[ir.Value, Bounds] = {}
        for v in entering:
            found = bounds(v)
            if found is not None and found.source in entering and bounds(found.source) is None:
                remade[v] = found
        self.inputs = [v for v in entering if v not in held and v not in remade]
        self.constants = [float(np.asarray(facts.constant(v)).item()) for v in held]
        masks = {n: self._bound(n) for n in order if _is_mask(n)}
        self.constants += masks.values()
        ends = [end for found in remade.values() for end in (found.low, found.high) if end is not None]
        self.constants += ends
        self.encoded: list[int] = []
        self.constants = self.constants or [0.0]
        self._given = len(self.inputs) + len(self.constants)
        numbers = {v: k for k, v in enumerate([*self.inputs, *held])}
        first_bound = len(numbers)
        number = first_bound + len(masks)
        for value, found in remade.items():
            numbers[value] = numbers[found.source]
            for kind, end in (("Max", found.low), ("Min", found.high)):
                if end is not None:  # first, so that a negative zero stays one
                    numbers[value] = self._chain(kind, [number, numbers[value]])
                    number += 1
        for node in order:
            operands = [numbers[v] for v in node.inputs if v is not None]
            kind = node.op_type
            if node in masks:
                kind = "Greater" if facts.attr(node, "alpha") > 0 else "Less"  # type: ignore[operator]
                operands.append(first_bound + list(masks).index(node))
            numbers[node.outputs[0]] = self._chain(_VARIADIC.get(kind, kind), operands)

    @property
    def is_small(self) -> bool:
        """Whether a GPU's kernel takes it."""
        steps = len(self.encoded) // (_MOST_OPERANDS + 1)
        return (
            len(self.inputs) <= _MOST_INPUTS
            and len(self.constants) <= _MOST_CONSTANTS
            and steps <= _MOST_STEPS
        )

    @staticmethod
    def _bound(mask: ir.Node) -> float:
        slope, beta = facts.attr(mask, "alpha"), facts.attr(mask, "beta")
        assert isinstance(slope, float)
        assert isinstance(beta, float)
        return -beta / slope

    def _chain(self, kind: str, operands: list[int]) -> int:
        """Add a step (several, where the standard takes any number of operands); return its number."""
        if len(operands) > _MOST_OPERANDS or (kind in _VARIADIC.values() and len(operands) > 2):
            rest = self._chain(kind, operands[:-1])
            return self._chain(kind, [rest, operands[-1]])
        self.encoded += [KINDS[kind], *operands, *[-1] * (_MOST_OPERANDS - len(operands))]
        return self._given + len(self.encoded) // (_MOST_OPERANDS + 1) - 1


def _is_number(value: ir.Value) -> bool:
    held = facts.constant(value)
    return held is not None and held.size == 1
