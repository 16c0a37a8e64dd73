"""Rewrite sequences of tensors as plain tensors, where that is exactly the same.

Gradients flow through tensors only; exporters write sequences for Python lists and for ``torch.split``.

Cases: SequenceConstruct, or SplitToSequence into slices of length 1, read by SequenceAt, ConcatFromSequence
or SequenceLength (in bodies too); and a sequence that a Loop starts empty and only appends to, tensors of one
shape, read after the Loop by the same operators: it becomes a scan output. Sequences of tensors whose shapes
may differ, or that are read in other ways, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.decomposition import whole
from onnxplain.graph.replace import take_place
from onnxplain.graph.writer import Writer

__all__ = ["SequencesToTensors"]

_READERS = frozenset({"ConcatFromSequence", "SequenceAt", "SequenceLength"})
_STATES = 2  # a Loop's and its body's first inputs are not loop-carried


@dataclass(frozen=True)
class _Stack:
    """A tensor that holds a sequence's elements along one axis.

    Attributes
    ----------
    tensor
        All elements.
    axis
        Axis that counts them.
    keep
        Whether each element has that axis too, with length 1.
    """

    tensor: ir.Value
    axis: int
    keep: bool


class SequencesToTensors(ir.passes.InPlacePass):
    """Replace what reads a sequence by what reads the tensors in it, in the main graph and in bodies.

    A SplitToSequence counts if it has no ``split`` or a constant scalar 1 (not with ``keepdims=0`` too, which
    the standard ignores then and onnxruntime does not), a SequenceConstruct is indexed at constant positions
    only, and a Loop's sequence must be all read in ways that can be rewritten.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        opset = model.graph.opset_imports.get("", 18)
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                if node.graph is not graph or node.domain not in ("", "ai.onnx"):
                    continue
                if node.op_type == "Loop":
                    modified |= _loop(node, opset, _names(model.graph))
                elif node.op_type == "SequenceConstruct":
                    modified |= _constructed(node, opset)
                elif node.op_type == "SplitToSequence":
                    modified |= _split(node, opset)
        return ir.passes.PassResult(model, modified)


def _names(graph: ir.Graph) -> frozenset[str]:
    """Return the names of lengths that are fixed for a whole run."""
    return frozenset(d for v in graph.inputs for d in facts.dims(v) or () if isinstance(d, str))


def _writer(node: ir.Node, opset: int) -> Writer:
    assert isinstance(node.graph, ir.Graph)
    op = Writer(node.graph, opset, f"{node.outputs[0].name}/{node.op_type}")
    op.before = node
    return op


def _readers(sequence: ir.Value) -> list[ir.Node]:
    return [n for n, _ in sequence.uses() if n.op_type in _READERS and n.domain in ("", "ai.onnx")]


def _put(op: Writer, node: ir.Node, new: ir.Value) -> None:
    """Let a value take the place of a node's only output."""
    old = node.outputs[0]
    if old.is_graph_output() or new.graph is not op.graph or facts.is_constant(new):
        new = op.emit("Identity", [new], {"_fold": False})
        if old.is_graph_output():
            new.name = old.name
    new.type, new.shape = new.type or old.type, new.shape or old.shape
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    op.graph.remove(node, safe=True)


def _drop(node: ir.Node | None) -> None:
    """Remove a node that nothing reads any more."""
    if node is None or not isinstance(node.graph, ir.Graph):
        return
    if not any(o.uses() or o.is_graph_output() for o in node.outputs):
        node.graph.remove(node, safe=True)


def _constructed(node: ir.Node, opset: int) -> bool:
    elements: list[Any] = list(node.inputs)
    modified = False
    for user in _readers(node.outputs[0]):
        op = _writer(user, opset)
        if user.op_type == "SequenceLength":
            made = op.const(len(elements))
        elif user.op_type == "SequenceAt":
            position = facts.constant(user.inputs[1])
            if position is None or not -len(elements) <= position.item() < len(elements):
                continue
            made = elements[position.item()]
        else:
            axis = whole(user, "axis", 0)
            new = whole(user, "new_axis", 0)
            made = op.Concat(*[op.Unsqueeze(e, [axis]) if new else e for e in elements], axis=axis)
        _put(op, user, made)
        modified = True
    _drop(node)
    return modified


def _split(node: ir.Node, opset: int) -> bool:
    tensor = node.inputs[0]
    split = node.inputs[1] if len(node.inputs) > 1 else None
    length = facts.constant(split)
    assert tensor is not None
    if split is not None and (length is None or length.ndim or length.item() != 1):
        return False
    axis, rank, keep = whole(node, "axis", 0), facts.rank(tensor), bool(whole(node, "keepdims", 1))
    if rank is None or (split is not None and not keep):
        return False
    stack = _Stack(tensor, axis % rank, keep)
    modified = False
    for user in _readers(node.outputs[0]):
        if _readable(user, stack.axis, rank, keep):
            op = _writer(user, opset)
            _put(op, user, _read(op, user, stack, rank))
            modified = True
    _drop(node)
    return modified


def _readable(user: ir.Node, axis: int, rank: int, keep: bool) -> bool:
    if user.op_type != "ConcatFromSequence" or not keep:
        return True
    return not whole(user, "new_axis", 0) and whole(user, "axis", 0) % rank == axis


def _read(op: Writer, user: ir.Node, stack: _Stack, rank: int) -> Any:
    """Write what a reader of a stacked sequence gives."""
    if user.op_type == "SequenceLength":
        return op.Reshape(_length(op, stack.tensor, stack.axis), op.const([]))
    if user.op_type == "SequenceAt":
        position: Any = user.inputs[1]
        if stack.keep:
            position = op.Reshape(position, [1])
        elif facts.rank(position) != 0:
            position = op.Reshape(position, op.const([]))
        return op.Gather(stack.tensor, position, axis=stack.axis)
    if stack.keep:
        return stack.tensor
    if whole(user, "new_axis", 0):
        return _moved(op, stack.tensor, stack.axis, whole(user, "axis", 0) % rank, rank)
    target = whole(user, "axis", 0) % (rank - 1)
    moved = _moved(op, stack.tensor, stack.axis, target, rank)
    lengths = [_length(op, moved, k) for k in range(rank)]
    merged = op.Mul(lengths[target], lengths[target + 1])
    shape = [*lengths[:target], merged, *lengths[target + 2 :]]
    return op.Reshape(moved, op.Concat(*shape, axis=0) if len(shape) > 1 else merged, allowzero=1)


def _length(op: Writer, tensor: Any, axis: int) -> Any:
    """One axis' length, as a vector."""
    known = facts.static_dim(tensor, axis) if tensor.shape is not None else None
    return op.Shape(tensor, start=axis, end=axis + 1) if known is None else op.const([known])


def _moved(op: Writer, tensor: Any, source: int, target: int, rank: int) -> Any:
    order = [k for k in range(rank) if k != source]
    order.insert(target, source)
    return tensor if order == list(range(rank)) else op.Transpose(tensor, perm=order)


def _loop(node: ir.Node, opset: int, names: frozenset[str]) -> bool:
    modified = False
    k = 0
    while k < len(node.inputs) - _STATES:
        element = _appended(node, k, names)
        if element is None:
            k += 1
            continue
        node = _scanned(node, k, element, opset)
        modified = True
    return modified


def _appended(node: ir.Node, k: int, names: frozenset[str]) -> ir.Value | None:
    """Return what a Loop's body appends to its k-th state, if the state can be a scan output."""
    start, final = node.inputs[_STATES + k], node.outputs[k]
    empty = start.producer() if start is not None else None
    if empty is None or empty.op_type != "SequenceEmpty" or final.is_graph_output():
        return None
    body = node.attributes["body"].as_graph()
    state, result = body.inputs[_STATES + k], body.outputs[1 + k]
    insert = result.producer()
    if insert is None or insert.op_type != "SequenceInsert" or insert.graph is not body:
        return None
    alone = [n for n, _ in state.uses()] == [insert] and not state.is_graph_output()
    last = not result.uses() and sum(o is result for o in body.outputs) == 1
    appends = insert.inputs[0] is state and all(i is None for i in insert.inputs[2:])
    if not alone or not last or not appends:
        return None
    element = insert.inputs[1]
    dims = facts.dims(element) if element is not None else None
    if element is None or dims is None or element.dtype is None:
        return None
    if not all(isinstance(d, int) or d in names for d in dims):
        return None
    readers = _readers(final)
    if len(readers) != len(final.uses()) or any(
        not dims and n.op_type == "ConcatFromSequence" and not whole(n, "new_axis", 0) for n in readers
    ):
        return None
    return element


def _scanned(node: ir.Node, k: int, element: ir.Value, opset: int) -> ir.Node:
    """Write a Loop anew with its k-th state, a sequence, as its last scan output; returns the new Loop."""
    graph, body = node.graph, node.attributes["body"].as_graph()
    assert isinstance(graph, ir.Graph)
    start, final = node.inputs[_STATES + k], node.outputs[k]
    insert = body.outputs[1 + k].producer()
    assert insert is not None
    assert start is not None
    dims = facts.dims(element) or ()
    scan = ir.node("Identity", [element], name=f"{final.name}/scan")
    scan.outputs[0].name, scan.outputs[0].type = f"{final.name}/scan", element.type
    scan.outputs[0].shape = ir.Shape(dims)
    body.insert_before(insert, scan)
    body.outputs.pop(1 + k)
    body.outputs.append(scan.outputs[0])
    body.remove(insert, safe=True)
    body.inputs.pop(_STATES + k)

    inputs = [v for i, v in enumerate(node.inputs) if i != _STATES + k]
    kept = [o for i, o in enumerate(node.outputs) if i != k]
    loop = ir.Node("", "Loop", inputs, node.attributes.values(), num_outputs=len(node.outputs))
    loop.name = node.name
    loop.metadata_props.update(node.metadata_props)
    graph.insert_before(node, loop)
    for old, new in zip(kept, loop.outputs, strict=False):
        take_place(old, new)
    stacked = loop.outputs[-1]
    stacked.name, stacked.type = f"{final.name}/stacked", element.type
    stacked.shape = ir.Shape([None, *dims])
    for user in _readers(final):
        op = _writer(user, opset)
        _put(op, user, _read(op, user, _Stack(stacked, 0, keep=False), len(dims) + 1))
    graph.remove(node, safe=True)
    _drop(start.producer())
    return loop
